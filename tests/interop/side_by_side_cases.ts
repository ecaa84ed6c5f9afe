/** The command lines that are given to both programs. */
import type { Ground, ReplicaName } from "./side_by_side_ground.ts";
import { type Facet, OUT, RESTORED } from "./two_programs.ts";

/** One command line, and which of its differences stand in docs/DIFFERENCES.md. */
export interface SideBySide {
  readonly name: string;
  readonly args: (ground: Ground) => readonly string[];
  readonly env?: ((ground: Ground) => Readonly<Record<string, string>>) | undefined;
  /** Files that are in the folder of outputs before. */
  readonly existing?: readonly string[] | undefined;
  /** What no two runs have in common is taken out of standard output. */
  readonly clean?: ((output: string) => string) | undefined;
  /** The id of the difference, by what differs. */
  readonly differs?: Differs | undefined;
  /** What Litestream shows differently from run to run. */
  readonly unsteady?: readonly Facet[] | undefined;
}

type Differs = Partial<Record<Facet, string>>;

const HELP: Differs = { code: "help-exits-0" };
const ON_STDERR: Differs = { errorStream: "errors-on-stderr" };

/** Each restore that replays WAL. */
const REPLAYED: Differs = { walLog: "restore-log", leftovers: "restore-leftovers" };

/** What follows when one fails and the other doesn't, whichever. */
function onlyOneFails(id: string): Differs {
  return { code: id, error: id, errorStream: id };
}

/** A replayed restore that only Litestream, or only walbrook, gets to the end of. */
function onlyOneRestores(id: string): Differs {
  return { ...onlyOneFails(id), log: id, restored: id };
}

const COMMANDS = ["databases", "generations", "replicate", "restore", "snapshots", "version", "wal"] as const;

const GENERAL: readonly SideBySide[] = [
  { name: "no words (case 101)", args: () => [] },
  { name: "help", args: () => ["help"], differs: HELP },
  { name: "-h", args: () => ["-h"], differs: HELP },
  { name: "a flag instead of a command", args: () => ["-x"] },
  { name: "an unknown command (case 101)", args: () => ["x"] },
  { name: "version (case 101)", args: () => ["version"], differs: { output: "version-lines" } },
  {
    name: "version with a word",
    args: () => ["version", "x"],
    differs: { ...onlyOneFails("version-words"), output: "version-words" },
  },
  ...COMMANDS.flatMap((command): SideBySide[] => [
    { name: `${command} -h`, args: () => [command, "-h"], differs: HELP },
    { name: `${command} with an unknown flag`, args: () => [command, "-unknown"] },
  ]),
  { name: "databases (case 103)", args: ({ configPath }) => ["databases", "-config", configPath] },
  {
    name: "databases with one that has no replicas",
    args: ({ alonePath }) => ["databases", "-config", alonePath],
    differs: { log: "config-warnings" },
  },
  {
    name: "databases of LITESTREAM_CONFIG",
    args: () => ["databases"],
    env: ({ configPath }) => ({ LITESTREAM_CONFIG: configPath }),
  },
  {
    name: "databases without a configuration (case 105)",
    args: ({ folder }) => ["databases", "-config", `${folder}/none.yml`],
  },
  { name: "databases with a word", args: () => ["databases", "x"] },
  { name: "replicate with one word (case 106)", args: () => ["replicate", "/app.db"] },
  {
    name: "replicate of a URL with -config",
    args: ({ configPath, url }) => ["replicate", "-config", configPath, "/app.db", url("none")],
  },
];

/** The lag behind now is another one in each run, and so is its width. */
function withoutLag(output: string): string {
  return output.split("\n").map((line) => line.split(/ +/).toSpliced(2, 1).join(" ")).join("\n");
}

const LISTED: readonly ReplicaName[] = [
  "whole",
  "none",
  "empty",
  "snapshotOnly",
  "walOnly",
  "noIndexOne",
  "gap",
  "olderWal",
  "strange",
  "twoGenerations",
];

/** What every listing of a replica is asked for, behind its name and `-config`. */
const LISTING_WORDS: readonly Omit<SideBySide, "env" | "existing">[] = [
  { name: "nothing", args: () => [] },
  { name: "two", args: ({ url }) => [url("whole"), url("whole")] },
  { name: "a URL with -config", args: ({ configPath, url }) => ["-config", configPath, url("whole")] },
  {
    name: "an unknown scheme",
    args: () => ["ftp://host/path"],
    differs: { error: "unknown-type-named" },
  },
  {
    name: "a database (case 103)",
    args: ({ configPath, databasePath }) => ["-config", configPath, databasePath],
  },
  {
    name: "a replica of a database",
    args: ({ configPath, databasePath }) => ["-config", configPath, "-replica", "older", databasePath],
  },
  {
    name: "an unknown replica",
    args: ({ configPath, databasePath }) => ["-config", configPath, "-replica", "s3", databasePath],
    differs: ON_STDERR,
  },
  {
    name: "an unknown database (case 105)",
    args: ({ configPath, folder }) => ["-config", configPath, `${folder}/other.db`],
    differs: { ...ON_STDERR, error: "config-file-named" },
  },
  {
    name: "a database without a configuration (case 105)",
    args: ({ folder }) => ["-config", `${folder}/none.yml`, "/app.db"],
  },
  {
    name: "a database without replicas",
    args: ({ alonePath, folder }) => ["-config", alonePath, `${folder}/alone.db`],
    differs: { log: "config-warnings" },
  },
];

const LISTINGS: readonly SideBySide[] = (["generations", "snapshots", "wal"] as const).flatMap((command) => [
  ...LISTING_WORDS.map(({ name, args, differs }): SideBySide => ({
    name: `${command} of ${name}`,
    args: (ground) => [command, ...args(ground)],
    differs,
  })),
  {
    name: `${command} of a database that isn't there (case 112)`,
    args: ({ configPath, folder }) => [command, "-config", configPath, `${folder}/missing.db`],
    differs: command === "generations" ? ON_STDERR : undefined,
  },
  ...LISTED.map((name): SideBySide => ({
    name: `${command} of the replica ${name}`,
    args: ({ url }) => [command, url(name)],
    clean: command === "generations" ? withoutLag : undefined,
    differs: command === "generations" && name === "olderWal" ? { output: "start-of-generation" } : undefined,
  })),
]);

const WAL: readonly SideBySide[] = [
  {
    name: "wal -generation",
    args: ({ generation, url }) => ["wal", "-generation", generation, url("twoGenerations")],
  },
  {
    name: "wal of an unknown generation",
    args: ({ url }) => ["wal", "-generation", "0000", url("whole")],
  },
];

const RESTORED_REPLICAS: readonly (readonly [ReplicaName, Differs | undefined])[] = [
  ["whole", REPLAYED],
  ["none", { error: "place-named" }],
  ["empty", { error: "place-named" }],
  ["snapshotOnly", undefined],
  ["walOnly", { error: "objects-named" }],
  ["noIndexOne", { error: "objects-named", log: "checked-first", leftovers: "restore-leftovers" }],
  ["noFirstSegment", { error: "objects-named" }],
  ["gap", { ...REPLAYED, ...onlyOneRestores("holes-refused") }],
  ["cutSnapshot", { error: "objects-named", leftovers: "restore-leftovers" }],
  ["cutSegment", { error: "objects-named", leftovers: "restore-leftovers" }],
  ["olderWal", REPLAYED],
  ["strange", REPLAYED],
  ["twoGenerations", REPLAYED],
];

const RESTORED_CASES: Partial<Record<ReplicaName, string>> = {
  none: "(case 74)",
  snapshotOnly: "(case 71)",
  noIndexOne: "(case 79)",
  noFirstSegment: "(case 80)",
  gap: "(case 80)",
  olderWal: "(case 81)",
};

type Words = (ground: Ground) => readonly string[];

function restoreOf(
  name: string,
  words: Words,
  more: Pick<SideBySide, "differs" | "existing" | "env" | "unsteady"> = {},
): SideBySide {
  return { name: `restore ${name}`, args: (ground) => ["restore", ...words(ground)], ...more };
}

const out = ["-o", `${OUT}/${RESTORED}`] as const;

const RESTORES: readonly SideBySide[] = [
  ...RESTORED_REPLICAS.map(([name, differs]) =>
    restoreOf(
      `of the replica ${name} ${RESTORED_CASES[name] ?? ""}`.trimEnd(),
      ({ url }) => [...out, url(name)],
      // How far its downloads had come when one failed.
      { differs, unsteady: name === "cutSegment" ? ["walLog"] : [] },
    )
  ),
  restoreOf("onto a file (case 73)", ({ url }) => [...out, url("whole")], { existing: [RESTORED] }),
  restoreOf(
    "-if-db-not-exists onto a file (case 73)",
    ({ url }) => ["-if-db-not-exists", ...out, url("whole")],
    {
      existing: [RESTORED],
    },
  ),
  restoreOf(
    "-if-replica-exists of nothing (case 74)",
    ({ url }) => ["-if-replica-exists", ...out, url("none")],
  ),
  restoreOf("-index (case 75)", ({ url }) => ["-index", "1", ...out, url("whole")], { differs: REPLAYED }),
  restoreOf("-index with zeros", ({ url }) => ["-index", "00000000", ...out, url("whole")], {
    differs: REPLAYED,
  }),
  restoreOf("-index beyond the end (case 75)", ({ url }) => ["-index", "9", ...out, url("whole")], {
    differs: { ...REPLAYED, ...onlyOneRestores("missing-index-refused") },
  }),
  restoreOf(
    "-index below the first snapshot (case 75)",
    ({ url }) => ["-index", "0", ...out, url("olderWal")],
    { differs: { error: "place-named" } },
  ),
  restoreOf("-timestamp between segments (case 76)", ({ url, between }) => [
    ...["-timestamp", between, ...out],
    url("whole"),
  ], { differs: { ...REPLAYED, log: "moments-explained" } }),
  restoreOf("-timestamp before everything (case 76)", ({ url }) => [
    ...["-timestamp", "2001-01-01T00:00:00Z", ...out],
    url("whole"),
  ], { differs: { error: "moments-explained" } }),
  restoreOf("-timestamp after everything (case 76)", ({ url }) => [
    ...["-timestamp", "2040-01-01T00:00:00Z", ...out],
    url("whole"),
  ], { differs: onlyOneRestores("moments-after-the-end") }),
  restoreOf("-timestamp that is none", ({ url }) => ["-timestamp", "yesterday", ...out, url("whole")], {
    differs: { error: "plain-space" },
  }),
  restoreOf("-timestamp and -index", ({ url }) => [
    ...["-index", "1", "-timestamp", "2040-01-01T00:00:00Z", ...out],
    url("whole"),
  ], { differs: { error: "words-first" } }),
  restoreOf("-generation (case 77)", ({ url, generation }) => [
    ...["-generation", generation, ...out],
    url("twoGenerations"),
  ], { differs: REPLAYED }),
  restoreOf("of an unknown generation (case 77)", ({ url }) => [
    ...["-generation", "0123012301230123", ...out],
    url("whole"),
  ], { differs: { error: "place-named" } }),
  restoreOf("of a word as generation", ({ url }) => ["-generation", "latest", ...out, url("whole")], {
    differs: { error: "words-first", output: "words-first" },
  }),
  restoreOf("of a database (case 78)", ({ configPath, databasePath }) => [
    ...["-config", configPath, ...out],
    databasePath,
  ], { differs: REPLAYED }),
  restoreOf("-replica (case 78)", ({ configPath, databasePath }) => [
    ...["-config", configPath, "-replica", "older", ...out],
    databasePath,
  ], { differs: REPLAYED }),
  restoreOf("of an unknown replica", ({ configPath, databasePath }) => [
    ...["-config", configPath, "-replica", "s3", ...out],
    databasePath,
  ], { differs: { error: "unknown-replica-named", ...ON_STDERR } }),
  restoreOf("of a database without replicas", ({ alonePath, folder }) => [
    ...["-config", alonePath, ...out],
    `${folder}/alone.db`,
  ], { differs: { error: "unknown-replica-named", ...ON_STDERR, log: "config-warnings" } }),
  restoreOf("onto the database itself", ({ configPath, databasePath }) => [
    "-config",
    configPath,
    databasePath,
  ], { differs: ON_STDERR }),
  restoreOf("-if-db-not-exists of the database itself", ({ configPath, databasePath }) => [
    ...["-if-db-not-exists", "-config", configPath],
    databasePath,
  ]),
  restoreOf(
    "of an unknown database (case 105)",
    ({ configPath }) => ["-config", configPath, ...out, "/none.db"],
    { differs: { ...ON_STDERR, error: "config-file-named" } },
  ),
  restoreOf("of nothing", () => []),
  restoreOf("of a URL to nowhere", ({ url }) => [url("whole")]),
  restoreOf("with flags behind (case 102)", ({ url }) => [url("whole"), ...out]),
  restoreOf(
    "-if-db-not-exists=maybe (case 104)",
    ({ url }) => ["-if-db-not-exists=maybe", ...out, url("whole")],
  ),
  restoreOf("-index=zz", () => ["-index=zz"]),
  restoreOf("-parallelism x", () => ["-parallelism", "x"]),
  restoreOf("-parallelism 1", ({ url }) => ["-parallelism", "1", ...out, url("whole")], {
    differs: REPLAYED,
  }),
  restoreOf("-parallelism 1000", ({ url }) => ["-parallelism", "1000", ...out, url("whole")], {
    differs: { ...REPLAYED, ...onlyOneRestores("parallelism-bounded") },
  }),
  restoreOf("-o without a value", () => ["-o"]),
  restoreOf("-v", ({ url }) => ["-v", ...out, url("whole")], {
    differs: { ...onlyOneRestores("restore-v"), output: "restore-v" },
  }),
  restoreOf("--o= and --", ({ url }) => [`-${out.join("=")}`, "--", url("whole")], { differs: REPLAYED }),
  restoreOf(
    "of a folder without a configuration",
    ({ folder }) => [...out, `${folder}/replicas/whole`],
    {
      env: ({ folder }) => ({ LITESTREAM_CONFIG: `${folder}/none.yml` }),
      differs: onlyOneRestores("folders-as-replicas"),
    },
  ),
];

/** All of them. */
export const SIDE_BY_SIDE: readonly SideBySide[] = [...GENERAL, ...LISTINGS, ...WAL, ...RESTORES];
