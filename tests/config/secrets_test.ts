import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { credentialCopies } from "../../src/config/environment.ts";
import { readConfiguration } from "../../src/config/read_configuration.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { IDENTITY, RECIPIENT } from "./age_keys.ts";
import { errorsOf, testOptions } from "./parsed.ts";

function write(folder: string, name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

test("readConfiguration() takes secrets from files", () => {
  using folder = temporaryFolder();
  const file = (name: string, text: string) => write(folder.path, name, text);
  const path = file(
    "c.yml",
    `
access-key-id-file: ${file("id", "  ID\n")}
secret-access-key-file: ${file("secret", "SECRET\r\n")}
dbs:
  - path: /a
    replicas:
      - {name: a, url: s3://b/x}
      - {name: b, url: s3://b/y, secret-access-key-file: ${file("own", "OWN")}}
      - {url: abs://c@d, account-key-file: ${file("account", "KEY\n")}}
      - {url: sftp://u@h/x, password-file: ${file("password", "two words\n")}}
      - path: /b
        age:
          identities-file: ${file("identities", `# created\n${IDENTITY}\n`)}
          recipients: [${RECIPIENT}]
`,
  );
  const { configuration, warnings } = readConfiguration(path, testOptions());
  assert.deepEqual(warnings, []);
  const [a, b, abs, sftp, encrypted] = configuration.databases[0]!.replicas;
  assert.ok(a?.type === "s3" && b?.type === "s3" && abs?.type === "abs" && sftp?.type === "sftp");
  assert.deepEqual([a.accessKeyId, a.secretAccessKey, b.accessKeyId, b.secretAccessKey], [
    "ID",
    "SECRET",
    "ID",
    "OWN",
  ]);
  assert.deepEqual([abs.accountKey, sftp.password], ["KEY", "two words"]);
  assert.deepEqual([encrypted!.identities, encrypted!.recipients], [[IDENTITY], [RECIPIENT]]);
});

test("parseConfiguration() names a secret's file that can't be used", () => {
  using folder = temporaryFolder();
  const empty = write(folder.path, "empty", " \n");
  const large = write(folder.path, "large", "x".repeat(65_537));
  const bad = write(folder.path, "bad", "# c\nfoo\n");
  mkdirSync(join(folder.path, "folder"));
  const cases: [string, string][] = [
    [
      `url: abs://c@d, account-key-file: ${folder.path}/none`,
      `account-key-file: open ${folder.path}/none: no such file or directory`,
    ],
    [
      `url: abs://c@d, account-key-file: ${folder.path}/folder`,
      `account-key-file: read ${folder.path}/folder: is a directory`,
    ],
    [`url: abs://c@d, account-key-file: ${empty}`, `account-key-file: ${empty} is empty`],
    [
      `url: abs://c@d, account-key-file: ${large}`,
      `account-key-file: read ${large}: longer than 65536 bytes`,
    ],
    [
      `url: abs://c@d, account-key: x, account-key-file: ${empty}`,
      "cannot specify account-key & account-key-file",
    ],
    [
      `path: /b, age: {identities-file: ${bad}}`,
      "error at line 2: malformed secret key: it doesn't begin with AGE-SECRET-KEY-1",
    ],
  ];
  for (const [replica, message] of cases) {
    const [found, ...rest] = errorsOf(`dbs: [{path: /a, replicas: [{${replica}}]}]`);
    assert.equal(found!.replace(/^\d+:\d+: /, ""), message);
    assert.equal(rest.length, 0);
  }
});

test("readConfiguration() warns of files with secrets that others may read", () => {
  using folder = temporaryFolder();
  const key = write(folder.path, "key", "KEY", 0o640);
  const replica = (text: string) => `strict: true\ndbs: [{path: /a, replicas: [{${text}}]}]`;
  const cases: [string, number, string[]][] = [
    [replica("url: abs://c@d, account-key: k"), 0o644, ["c.yml"]],
    [replica("url: abs://c@d, account-key: k"), 0o600, []],
    [replica("url: abs://c@d, account-key: ${KEY}"), 0o644, []],
    [replica("url: abs://c@d, account-key: k${KEY}"), 0o644, []],
    [replica("url: abs://c@d"), 0o644, []],
    [replica("url: sftp://u:p@h/x"), 0o604, ["c.yml"]],
    [replica("url: sftp://u@h/x"), 0o604, []],
    [replica(`path: /b, age: {identities: [${IDENTITY}], recipients: [${RECIPIENT}]}`), 0o640, ["c.yml"]],
    [replica(`url: abs://c@d, account-key-file: ${key}`), 0o644, ["key"]],
    ["access-key-id: a\nsecret-access-key: b", 0o644, ["c.yml"]],
  ];
  for (const [text, mode, names] of cases) {
    const path = write(folder.path, "c.yml", text, mode);
    const { warnings } = readConfiguration(path, testOptions({ KEY: "from-outside" }));
    const expected = names.map((name) => {
      const octal = `0${(name === "key" ? 0o640 : mode).toString(8)}`;
      const shown = join(folder.path, name);
      return `others than its owner may open ${shown} (mode ${octal}), which holds secrets: chmod 600 ${shown}`;
    });
    assert.deepEqual(warnings.map(({ message }) => message), expected, text);
  }
});

test("credentialCopies() gives AWS names to our credentials where they are missing", () => {
  const lookup = (environment: Record<string, string>) => (name: string) => environment[name];
  const cases: [Record<string, string>, [string, string][]][] = [
    [{}, []],
    [{ LITESTREAM_ACCESS_KEY_ID: "a", LITESTREAM_SECRET_ACCESS_KEY: "b" }, [
      ["AWS_ACCESS_KEY_ID", "a"],
      ["AWS_SECRET_ACCESS_KEY", "b"],
    ]],
    [{ LITESTREAM_ACCESS_KEY_ID: "a", AWS_ACCESS_KEY_ID: "" }, []],
    [{ LITESTREAM_SECRET_ACCESS_KEY: "b", AWS_ACCESS_KEY_ID: "x" }, [["AWS_SECRET_ACCESS_KEY", "b"]]],
  ];
  for (const [environment, expected] of cases) {
    assert.deepEqual([...credentialCopies(lookup(environment))], expected);
  }
});
