/** Paragraphs that several commands' usage texts share. */

/** Of `CONFIGURATION_FLAGS`. */
export const CONFIGURATION_USAGE = `    -config PATH
        The configuration file.
        Default: WALBROOK_CONFIG, LITESTREAM_CONFIG, /etc/walbrook.yml or /etc/litestream.yml

    -no-expand-env
        Take $NAME and \${NAME} in the configuration file as they stand.
`;

/** Of `-json`. */
export const JSON_USAGE = `    -json
        Print an array of objects instead of a table: times in RFC 3339, sizes in bytes.
`;

/** Of `-replica` where several are listed. */
export const REPLICA_USAGE = `    -replica NAME
        Only this replica of the database.
        Default: all of them.
`;
