import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../src/logger.ts";
import { ConfigurationError, logWarnings } from "../../src/config/finding.ts";
import { errorsOf, load, testOptions, warningsOf } from "./parsed.ts";

/** A file with one database, which has this replica. */
function withReplica(replica: string): string {
  return `dbs: [{path: /a, replicas: [{${replica}}]}]`;
}

test("parseConfiguration() refuses replicas with the texts of 0.3, in its order (case 100)", () => {
  const cases: [string, string][] = [
    ["path: 's3://b/x'", "replica path cannot be a url, please use the 'url' field instead: s3://b/x"],
    [
      "path: 's3://b/x', url: y, age: {identities: [x]}, type: z",
      "replica path cannot be a url, please use the 'url' field instead: s3://b/x",
    ],
    ["type: z, age: {identities: ['#']}", "no secret keys found"],
    ["type: z, age: {recipients: ['']}", "no recipients found"],
    ["type: z, age: {identities: [~]}", "no secret keys found"],
    ["url: 'gs://b/x'", 'unknown replica type in config: "" (url gs:): did you mean gcs?'],
    ["type: S3, bucket: x", 'unknown replica type in config: "S3": did you mean s3?'],
    ["type: webdav", 'unknown replica type in config: "webdav": write file, s3, gcs, abs, sftp'],
    ["url: 'file:///x', path: y", "cannot specify url & path for file replica"],
    ["name: x", "file replica path required"],
    ["path: ''", "file replica path required"],
    ["url: /b/x", "replica url scheme required: /b/x"],
    ["type: s3, url: b/x", "replica url scheme required: b/x"],
    ["url: 's3://b', path: x, bucket: c", "cannot specify url & path for s3 replica"],
    ["url: 's3://b', bucket: c", "cannot specify url & bucket for s3 replica"],
    ["type: s3", "bucket required for s3 replica"],
    ["url: 's3:///x'", "bucket required for s3 replica"],
    ["url: 's3://:9000/x'", "bucket required for s3 replica"],
    ["url: 's3:b/x'", "bucket required for s3 replica"],
    ["url: 'gcs://b', path: x", "cannot specify url & path for gcs replica"],
    ["url: 'gcs://b', bucket: x", "cannot specify url & bucket for gcs replica"],
    ["type: gcs", "bucket required for gcs replica"],
    ["url: 'abs://b', path: x", "cannot specify url & path for abs replica"],
    ["url: 'abs://b', bucket: x", "cannot specify url & bucket for abs replica"],
    ["type: abs", "bucket required for abs replica"],
    ["url: 'sftp://h', path: x", "cannot specify url & path for sftp replica"],
    ["url: 'sftp://h', host: x", "cannot specify url & host for sftp replica"],
    ["type: sftp", "host required for sftp replica"],
    ["type: sftp, host: h", "user required for sftp replica"],
    ["url: 'sftp://h/x'", "user required for sftp replica"],
  ];
  for (const [replica, message] of cases) {
    const [found, ...rest] = errorsOf(withReplica(replica));
    assert.equal(found!.replace(/^\d+:\d+: /, ""), message, replica);
    assert.equal(rest.length, 0, replica);
  }
});

test("parseConfiguration() refuses impossible values at their place (case 43)", () => {
  // The caret stands where the finding must, and isn't part of the file.
  const cases: [string, string][] = [
    ["path: /b, sync-interval: ^0", "sync-interval must be more than 0: 1s is the usual"],
    [
      "path: /b, retention-check-interval: ^-1s",
      "retention-check-interval must be more than 0: to keep everything write retention: 0",
    ],
    ["path: /b, retention: ^soon", 'retention must be a duration such as 30s, 10m or 24h, found "soon"'],
    ["path: /b, retention: ^'10'", 'retention must be a duration such as 30s, 10m or 24h, found "10"'],
    ["path: /b, retention: ^[1h]", "retention must be a duration such as 30s, 10m or 24h, found a list"],
    ["path: /b, upload-bandwidth: ^0", "upload-bandwidth must be at least 1 bytes a second"],
    [
      "path: /b, upload-bandwidth: ^fast",
      'upload-bandwidth must be bytes a second such as 10M, found "fast"',
    ],
    ["url: 's3://b', part-size: ^4M", "part-size must be from 5242880 to 5368709120 bytes (5MiB to 5GiB)"],
    ["url: 's3://b', concurrency: ^0", "concurrency must be from 1 to 1000 parts"],
    ["url: 's3://b', skip-verify: ^1", 'skip-verify must be true or false, found "1"'],
    ["url: 's3://b', skip-verify: ^'true'", 'skip-verify must be true or false, found "true"'],
    ["path: ^{a: b}", "path must be a text, found a mapping"],
    ["path: /b, retention: ^24h a:b", 'retention must be a duration such as 30s, 10m or 24h, found "24h…"'],
    ["path: !!binary ^x", "path must be a text, found !!binary"],
    ["path: /b, age: ^x", "age must be a mapping, found a text"],
    ["path: /b, age: {identities: ^x}", "identities must be a list, found a text"],
    ["path: /b, age: {recipients: [^[x]]}", "recipients must be a list of texts, found a list"],
    [
      "url: 's3://b', session-token: ^x",
      "session-token is set and its keys are not: write access-key-id and secret-access-key too",
    ],
    [
      "url: 's3://b', access-key-id: ^x",
      "access-key-id is set but secret-access-key is not: set both, or AWS_SECRET_ACCESS_KEY in the environment",
    ],
    [
      "url: ^'s3://b/%zz'",
      "replica URL s3://b/%zz has a % that is no valid escape; write %25 for a percent sign",
    ],
  ];
  for (const [marked, message] of cases) {
    const column = withReplica(marked).indexOf("^") + 1;
    const found = errorsOf(withReplica(marked.replace("^", "")));
    assert.deepEqual(found, [`1:${column}: ${message}`], marked);
  }
});

test("parseConfiguration() refuses impossible databases (case 43)", () => {
  const cases: [string, string][] = [
    ["dbs: x", "1:6: dbs must be a list, found a text"],
    ["dbs: {path: x}", "1:6: dbs must be a list, found a mapping"],
    ["dbs:\n  -\n", "2:4: dbs: entry 1 is empty: fill it in or remove its dash"],
    ["dbs: [x]", "1:7: a database must be a mapping, found a text"],
    ["dbs: [{path: ~}]", "1:7: database path required"],
    ["dbs:\n- path: ''", "2:9: database path required"],
    ["dbs: [{path: /a, replicas: [~]}]", "1:29: replicas: entry 1 is empty: fill it in or remove its dash"],
    ["health-max-stall: 0", "1:19: health-max-stall must be more than 0: 5m is the usual"],
    ["dbs: [{path: /a, monitor-interval: 0}]", "1:36: monitor-interval must be more than 0: 1s is the usual"],
    [
      "dbs: [{path: /a, min-checkpoint-page-count: 0}]",
      "1:45: min-checkpoint-page-count must be more than 0: 1000 is the usual",
    ],
    [
      "dbs: [{path: /a, min-checkpoint-page-count: '1'}]",
      '1:45: min-checkpoint-page-count must be a whole number, found "1"',
    ],
    [
      "dbs: [{path: /a, truncate-page-count: -1}]",
      "1:39: truncate-page-count must not be below 0: 0 turns it off",
    ],
    ["logging: 5", "1:10: logging must be a mapping, found a text"],
    ["logging: {type: JSON}", '1:17: unknown logging type "JSON": write text or json'],
    ["exec: ' '", "1:7: exec command is blank: give a program and its arguments"],
    ["exec: 'a \"b'", "1:7: cannot parse exec command: invalid command line string"],
    ["[]", "1:1: the configuration must be a mapping, found a list"],
    ["dbs: *x", "1:6: cannot read YAML: unknown anchor referenced: put a text that begins with * in quotes"],
  ];
  for (const [text, expected] of cases) assert.deepEqual(errorsOf(text), [expected], text);
});

test("parseConfiguration() refuses what stands in the way of another (case 43)", () => {
  const two = (first: string, second: string) => `dbs:\n- {path: /a, ${first}}\n- {path: /b, ${second}}`;
  const replicas = (one: string, other: string) =>
    `dbs:\n- path: /a\n  replicas:\n  - {name: x, ${one}}\n  - {name: y, ${other}}`;
  const cases: [string, string][] = [
    ["dbs: [{path: /a}, {path: /x/../a}]", "1:26: database /a stands here twice"],
    [
      two("meta-path: /m", "meta-path: /m/"),
      "3:25: meta-path /m is that of another database: each needs its own",
    ],
    [
      two("x: &x 1", "meta-path: /.a-litestream"),
      "3:25: meta-path /.a-litestream is that of another database: each needs its own",
    ],
    [
      "dbs: [{path: /d/a, meta-path: /d}]",
      "1:31: meta-path /d is the folder of the database itself: give it one of its own",
    ],
    [
      "dbs: [{path: /a, replicas: [{path: /x}, {path: /y}]}]",
      '1:41: two replicas of the database are named "file": the second replica of type file needs a name',
    ],
    [
      "dbs: [{path: /a, replicas: [{path: /x}, {path: /y, name: file}]}]",
      '1:58: two replicas of the database are named "file": rename one',
    ],
    [
      replicas("path: /r", "path: /r/x/.."),
      "5:21: another replica goes to the same place: each needs a folder of its own",
    ],
    [
      two("replicas: [{url: 's3://b/x'}]", "replicas: [{url: 's3://b/x/'}]"),
      "3:31: another replica goes to the same place: each needs a path of its own",
    ],
    [
      replicas("path: /r", "path: /r/generations/g"),
      "5:21: replica folder /r/generations/g is inside the generations of the replica in /r",
    ],
    [
      "dbs: [{path: /a, replicas: [{path: /.a-litestream}]}]",
      "1:36: replica folder /.a-litestream is the meta folder of a database",
    ],
    [
      "dbs: [{path: /a, replicas: [{path: /.a-litestream/x/y}]}]",
      "1:36: replica folder /.a-litestream/x/y is inside /.a-litestream, the meta folder of a database",
    ],
    ["dbs: [{path: /a, replicas: [{path: /a}]}]", "1:36: replica folder /a is a database"],
  ];
  for (const [text, expected] of cases) assert.deepEqual(errorsOf(text), [expected], text);
  const nested = warningsOf(
    "dbs:\n- path: /a\n  replicas:\n  - {name: x, path: /r}\n  - {name: y, path: /r/x}\n  - {name: z, path: /r/x/y}",
  );
  assert.deepEqual(nested, [
    "5:21: replica folder /r/x is inside the one of another replica, /r: better keep them apart",
    "6:21: replica folder /r/x/y is inside the one of another replica, /r/x: better keep them apart",
  ]);
  for (
    const text of [
      replicas("url: 's3://b/x'", "url: 's3://b/xy'"),
      two("replicas: [{path: /x}]", "replicas: [{path: /xy}]"),
    ]
  ) {
    assert.deepEqual(warningsOf(text), [], text);
  }
});

test("parseConfiguration() names every error of a file, in the order of the lines", () => {
  const text =
    "dbs:\n- path: /a\n  replicas:\n  - type: s3\n  - retention: x\n- path: /b\n  monitor-interval: 0\nlogging: {stderr: 1}\n";
  assert.deepEqual(errorsOf(text), [
    "4:5: bucket required for s3 replica",
    '5:16: retention must be a duration such as 30s, 10m or 24h, found "x"',
    "7:21: monitor-interval must be more than 0: 1s is the usual",
    '8:19: stderr must be true or false, found "1"',
  ]);
  assert.throws(() => load(text), {
    message: "c.yml:4:5: bucket required for s3 replica (and 3 more problems)",
  });
});

test("parseConfiguration() warns of keys that do nothing", () => {
  const replica = (text: string) => `dbs:\n- path: /a\n  replicas:\n  - path: /b\n    ${text}\n`;
  const cases: [string, string[]][] = [
    [replica("retension: 1h"), ['5:5: unknown key "retension" is ignored: did you mean "retention"?']],
    [replica("syncInterval: 1s"), [
      '5:5: unknown key "syncInterval" is ignored: did you mean "sync-interval"?',
    ]],
    [replica("no: 1s"), ['5:5: unknown key "no" is ignored']],
    [replica("foo bar: 1s"), ['5:5: unknown key "foo…" is ignored']],
    ["{exec:true, foo=1, exex:true}", [
      '1:2: unknown key "exec…" is ignored: put a blank behind "exec:"',
      '1:13: unknown key "foo…" is ignored',
      '1:20: unknown key "exex…" is ignored',
    ]],
    ["{foo:1: 2, foo:1: 2}", [
      '1:12: key "foo…" stands here twice: the last one counts',
      '1:12: unknown key "foo…" is ignored',
    ]],
    [replica("bucket: b"), [
      '5:5: key "bucket" has no effect on a replica of type file: it is for s3, gcs, abs',
    ]],
    [replica("monitor-interval: 1s"), [
      '5:5: key "monitor-interval" has no effect here: it belongs in a database',
    ]],
    [replica("logging: {level: debug}"), ['5:5: key "logging" has no effect here: it belongs at the top']],
    [replica("x-mine: 1\n    .mine: 2\n    mine: &m 3"), []],
    [replica("bucket: ~"), []],
    ["dbs: []\ndbs: []", ['2:1: key "dbs" stands here twice: the last one counts']],
    [
      "a: &a {path: /x}\ndbs:\n- path: /a\n  replicas:\n  - path: /b\n    <<: *a\n",
      ['6:5: "<<" replaces the key "path" that stands before it: write "<<" first'],
    ],
    [withReplica("type: s3, url: 'file:///x'"), [
      '1:36: type "s3" has no effect: by its url the replica is of type file',
    ]],
    ["dbs: [{path: /a}]", ["1:7: database /a has no replicas: nothing is replicated"]],
    ["exec: a && b", ['1:7: exec runs no shell: all from "&" on is ignored; put the commands into a script']],
    ["logging: {level: inof}", ["1:18: unknown logging level, info is used: write info"]],
    ["dbs: []\n---\ndbs: []", ["3:1: only the first YAML document is read: this one is ignored"]],
  ];
  for (const [text, expected] of cases) assert.deepEqual(warningsOf(text), expected, text);
});

test("parseConfiguration() tells users of other versions what to write instead", () => {
  const text = `
snapshot:
  interval: 24h
levels:
  - interval: 5m
l0-retention: 5m
mcp-addr: ":3001"
socket: {enabled: true}
dbs:
  - path: /a
    replica:
      url: s3://b/x
    truncate-page-n: 5
    replicas:
      - url: s3://b/y
        sse-kms-key-id: x
`;
  assert.deepEqual(warningsOf(text).map((line) => line.replace("key ", "").replace(/ is of.* ignored/, "")), [
    '2:1: "snapshot": write snapshot-interval and retention in each replica',
    '4:1: "levels": this format has no levels: nothing has to be written instead',
    '6:1: "l0-retention": this format has no levels: nothing has to be written instead',
    '7:1: "mcp-addr": there is no such server here: remove it',
    '8:1: "socket": there is no such server here: remove it',
    '11:5: "replica": write a list: replicas:',
    '13:5: "truncate-page-n": write truncate-page-count',
    '16:9: "sse-kms-key-id": encrypt with age, or set the encryption of the bucket',
  ]);
});

test("parseConfiguration() warns of bare numbers as durations", () => {
  const cases: [string, string | undefined][] = [
    ["10", "retention: a number without a unit is nanoseconds (10 is 10ns): write 10s for seconds"],
    ["1e9", "retention: a number without a unit is nanoseconds (1e9 is 1s): write 1s"],
    [
      "3_600_000_000_000",
      "retention: a number without a unit is nanoseconds (3_600_000_000_000 is 1h0m0s): write 1h0m0s",
    ],
    ["0", undefined],
    ["10s", undefined],
  ];
  for (const [value, expected] of cases) {
    const found = warningsOf(withReplica(`path: /b, retention: ${value}`));
    assert.deepEqual(found, expected === undefined ? [] : [`1:51: ${expected}`], value);
  }
});

test("parseConfiguration() warns of variables that aren't set, not of those in comments", () => {
  const text = "# $ONE\ndbs: # ${TWO}\n- path: /a$THREE\n  replicas: [{path: /b#$FOUR$$}]\n";
  assert.deepEqual(warningsOf(text), [
    "3:11: environment variable THREE is not set: nothing stands for it",
    "4:24: environment variable FOUR is not set: nothing stands for it",
    "4:29: $$ names no variable: nothing stands for it (there is no escape for $; -no-expand-env turns variables off)",
  ]);
  assert.deepEqual(warningsOf(text, { ...testOptions(), isExpanding: false }), []);
});

test("parseConfiguration() names the variables that aren't set in the line of an error", () => {
  const unset = (name: string) => `environment variable ${name} is not set`;
  const cases: [string, string[]][] = [
    [
      "dbs:\n- path: /a\n  replicas:\n  - url: s3://${NOPE}/db",
      [`4:10: bucket required for s3 replica (${unset("NOPE")})`],
    ],
    ["dbs:\n- path: /a$NOPE\n  replicas:\n  - url: s3:///db", ["4:10: bucket required for s3 replica"]],
    ["dbs:\n- path: /a\n  replicas:\n  - url: s3:///db # $NOPE", ["4:10: bucket required for s3 replica"]],
    [
      "dbs:\n- path: /a\n  replicas:\n  - url: s3://$A1$B2$A1$C3$D4$$/db",
      [`4:10: bucket required for s3 replica (${["A1", "B2", "C3"].map(unset).join(", ")})`],
    ],
    [
      "dbs:\n- path: /a\n  replicas:\n  - url: s3://$$/db",
      ["4:10: bucket required for s3 replica ($$ names no variable)"],
    ],
  ];
  for (const [text, expected] of cases) assert.deepEqual(errorsOf(text), expected, text);
  const [broken, ...rest] = errorsOf("dbs: [$NOPE}");
  assert.match(broken!, /^1:\d+: cannot read YAML: .* \(environment variable NOPE is not set\)$/);
  assert.deepEqual(rest, []);
});

test("parseConfiguration() gives places of the file as it was written", () => {
  const options = testOptions({ LONG: "a/very/long/path\nwith: lines", E: "", KEYS: "retension: 1h, x" });
  const cases: [string, string[]][] = [
    ["dbs: [{path: '/$LONG', foo: 1}]", ['1:24: unknown key "foo" is ignored', "1:7: database"]],
    ["dbs: [{path: $E/a$E${E}, foo: 1}]", ['1:26: unknown key "foo" is ignored', "1:7: database"]],
    ["dbs: [{path: /a, ${KEYS}: 1, foo: 2}]", [
      '1:18: unknown key "retension"',
      '1:18: unknown key "x"',
      '1:30: unknown key "foo"',
      "1:7: database",
    ]],
    ["é: 1\n'🦔': 2\ndbs: [{path: '🦔🦔', foo: 1}]", [
      '1:1: unknown key "é"',
      '2:1: unknown key "🦔"',
      '3:20: unknown key "foo"',
      "3:7: database",
    ]],
    ["a: 1\r\n  \r\ndbs: []\r\nb: 2", ['1:1: unknown key "a"', '4:1: unknown key "b"']],
  ];
  for (const [text, expected] of cases) {
    const found = warningsOf(text, options);
    assert.equal(found.length, expected.length, `${text}: ${found.join("; ")}`);
    for (const start of expected) {
      assert.ok(found.some((line) => line.startsWith(start)), `${start} in ${found.join("; ")}`);
    }
  }
});

test("parseConfiguration() makes warnings errors when it is strict", () => {
  const cases: [string, string[]][] = [
    ["strict: true\nfoo: 1", ['2:1: unknown key "foo" is ignored']],
    ["strict: yes\ndbs: [{path: /$NOPE, replica: x, replicas: [{path: /b, retention: 9, bucket: x}]}]", [
      "2:15: environment variable NOPE is not set: nothing stands for it",
      '2:22: key "replica" is of another version of Litestream and ignored: write a list: replicas:',
      "2:67: retention: a number without a unit is nanoseconds (9 is 9ns): write 9s for seconds",
      '2:70: key "bucket" has no effect on a replica of type file: it is for s3, gcs, abs',
    ]],
  ];
  for (const [text, expected] of cases) {
    assert.deepEqual(errorsOf(text), expected);
    assert.deepEqual(warningsOf(text, { ...testOptions(), strict: false }).length, expected.length);
  }
  assert.deepEqual(errorsOf("foo: 1", { ...testOptions(), strict: true }), [
    '1:1: unknown key "foo" is ignored',
  ]);
  // What is merely doubtful stays a warning: a key pair may well live elsewhere.
  assert.deepEqual(warningsOf("strict: true\ndbs: [{path: /a}]").length, 1);
});

test("parseConfiguration() takes one page count for both where the minimum is above the maximum, with a warning", () => {
  const cases: [keys: string, min: number, max: number, warnings: string[]][] = [
    ["min-checkpoint-page-count: 20000", 20000, 20000, [
      "1:45: min-checkpoint-page-count 20000 is more than the default of max-checkpoint-page-count, 10000: taken for both",
    ]],
    ["max-checkpoint-page-count: 500", 500, 500, [
      "1:45: max-checkpoint-page-count 500 is less than the default of min-checkpoint-page-count, 1000: taken for both",
    ]],
    ["min-checkpoint-page-count: 5, max-checkpoint-page-count: 4", 4, 4, [
      "1:75: max-checkpoint-page-count 4 is less than min-checkpoint-page-count, 5: taken for both",
    ]],
    ["max-checkpoint-page-count: 1000", 1000, 1000, []],
    ["max-checkpoint-page-count: 0", 1000, 0, []],
    ["max-checkpoint-page-count: -1", 1000, 0, []],
  ];
  for (const [keys, min, max, expected] of cases) {
    const text = `strict: true, dbs: [{path: /a, ${keys}, replicas: [{path: /b}]}]`;
    const { minCheckpointPageCount, maxCheckpointPageCount } = load(`{${text}}`).configuration.databases[0]!;
    assert.deepEqual([minCheckpointPageCount, maxCheckpointPageCount], [min, max], keys);
    assert.deepEqual(warningsOf(`dbs: [{path: /a, ${keys}, replicas: [{path: /b}]}]`), expected, keys);
  }
});

test("ConfigurationError shows no secret", () => {
  const secret = "geheim";
  const cases = [
    withReplica(`path: 's3://u:${secret}@x'`),
    withReplica(`url: 'sftp:/u:${secret}@x'`),
    withReplica(`url: 'u:${secret}/${secret}@x'`),
    withReplica(`url: 'sftp://u:${secret}@h:port/x'`),
    withReplica(`url: 's3://b', secret-access-key: [${secret}]`),
    withReplica(`url: 's3://b', secret-access-key: ${secret}`),
    withReplica(`path: /b, age: {identities: ${secret}}`),
    withReplica(`path: /b, age: {identities: [${secret}]}`),
    withReplica(`path: /b, age: ${secret}`),
    withReplica(`path: /b, age: {recipients: ${secret}}`),
    `dbs: [{path: /a, replicas: ["secret-access-key:${secret}"]}]`,
    `secret-access-key:${secret}`,
    withReplica(`url: 's3://b', secret-access-key: "a" ${secret}`),
    withReplica(`url: 's3://b', secret-access-key: *${secret}`),
  ];
  for (const text of cases) {
    assert.throws(() => load(text), (error) => {
      assert.ok(error instanceof ConfigurationError, String(error));
      assert.doesNotMatch(error.message, new RegExp(secret), text);
      return true;
    }, text);
  }
});

test("logWarnings() writes a WARN for each", () => {
  const records: unknown[] = [];
  const { warnings } = load("foo: 1\nbar: 2");
  logWarnings(warnings, { ...silentLogger, warn: (message, fields) => void records.push([message, fields]) });
  assert.deepEqual(records, [
    ["configuration", { file: "c.yml", line: 1, column: 1, warning: 'unknown key "foo" is ignored' }],
    ["configuration", {
      file: "c.yml",
      line: 2,
      column: 1,
      warning: 'unknown key "bar" is ignored',
    }],
  ]);
});
