import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { foreignKeys } from "../../src/config/foreign_keys.ts";
import { keyFact, KEYS, REPLICA_TYPES, type Section } from "../../src/config/keys.ts";
import { documentParts, marksOf } from "./key_tables.ts";
import { parsed, testOptions, warningsOf } from "./parsed.ts";

const DOCUMENT = readFileSync(new URL("../../docs/CONFIG.md", import.meta.url), "utf8");

/** Without what the formatter adds to tables. */
function unpadded(text: string): string {
  return text.trim().replaceAll(/-{3,}/g, "---").replaceAll(/ +/g, " ");
}

test("docs/CONFIG.md has the tables of the code", () => {
  for (const { name, text } of documentParts()) {
    const { begin, end } = marksOf(name);
    const from = DOCUMENT.indexOf(begin);
    assert.ok(from >= 0, `${begin} is missing`);
    const found = DOCUMENT.slice(from + begin.length, DOCUMENT.indexOf(end));
    assert.equal(unpadded(found), unpadded(text), "run: deno run -A tests/config/write_key_tables.ts");
  }
});

test("docs/CONFIG.md has an example that works without a warning", () => {
  const example = /```yaml\n(.*?)```/s.exec(DOCUMENT)![1]!
    .replace("secret-access-key-file: /run/secrets/s3", "secret-access-key: ${KEY_ID}")
    .replace("identities-file: /etc/app/age.key", "identities: [${IDENTITY}]");
  const environment = {
    KEY_ID: "x",
    IDENTITY: "AGE-SECRET-KEY-1TZHA2J85W9M4ZVASZNUUFNNX4MHYMK3LXZM2C834JPKZ8ZG4QDFQNCT2L5",
  };
  assert.deepEqual(warningsOf(example, testOptions(environment)), []);
  assert.deepEqual(parsed(example, environment).databases[0]!.replicas.map(({ name }) => name), [
    "disk",
    "cloud",
  ]);
});

test("docs/S3.md has every key of a replica in S3, and no other", () => {
  const page = readFileSync(new URL("../../docs/S3.md", import.meta.url), "utf8");
  const [, table] = /## Keys\n([^]*?)\n## /.exec(page)!;
  const rows = [...table!.matchAll(/^\| (`[^|]*)\|/gm)].flatMap(([, keys]) => keys!.match(/[a-z-]+/g)!);
  const known = KEYS.filter(({ section, types }) => section === "replica" && types?.includes("s3"))
    // One row is for a secret and for the file that holds it.
    .map(({ key }) => key.replace(/-file$/, ""));
  // Of each type of replica that has them.
  assert.deepEqual(rows.filter((key) => key !== "path").sort(), [...new Set(known)].sort());
});

/** A file with `line` in `section`, and all else that makes it whole. */
function fileWith(section: Section, line: string, type = "file"): string {
  const databases = (database: string, replica: string) =>
    `dbs:\n  - path: /a\n    replicas:\n      - type: ${type}\n${replica}${database}`;
  switch (section) {
    case "top":
      return `${line}\n`;
    case "logging":
      return `logging:\n  ${line}\n`;
    case "database":
      return databases(`    ${line}\n`, "        path: /b\n");
    case "replica":
      return databases("", `        ${line}\n`);
    case "age":
      return databases("", `        path: /b\n        age:\n          ${line}\n`);
  }
}

test("KEYS are all read: each refuses a value of the wrong kind", () => {
  for (const { section, key, kind, types } of KEYS) {
    const wrong = kind === "text" || kind === "flag" || kind === "texts"
      ? "{ x: y }"
      : kind === "sections"
      ? "5"
      : "[]";
    assert.throws(() => parsed(fileWith(section, `${key}: ${wrong}`, types?.[0])), (error) => {
      assert.match((error as Error).message, new RegExp(`: ${key} must be `), `${section} ${key}`);
      return true;
    });
  }
});

test("KEYS stand once in each section, and not among the keys of other versions", () => {
  const names = KEYS.map(({ section, key }) => `${section} ${key}`);
  assert.equal(new Set(names).size, names.length);
  const foreign = foreignKeys().flatMap(({ sections, keys }) =>
    sections.map((section) => keys.map((key) => ({ section, key })))
  ).flat();
  for (const { section, key } of foreign) assert.equal(keyFact(section, key), undefined, `${section} ${key}`);
});

test("KEYS with types warn on every other type of replica", () => {
  const rest: Record<string, string> = {
    file: "path: /b",
    s3: "bucket: b",
    gcs: "bucket: b",
    abs: "bucket: b",
    sftp: "host: h\n        user: u",
  };
  const values: Record<string, string> = { text: "x", flag: "true", count: "1", size: "8Mi" };
  let warnedCount = 0;
  for (
    const { key, kind, types } of KEYS.filter(({ section, types }) =>
      section === "replica" && types !== undefined
    )
  ) {
    for (const type of REPLICA_TYPES) {
      if (types!.includes(type)) continue;
      const found = warningsOf(fileWith("replica", `${rest[type]}\n        ${key}: ${values[kind]}`, type))
        .filter((line) => line.includes(`key "${key}" has no effect on a replica of type ${type}`));
      assert.equal(found.length, 1, `${key} ${type}`);
      warnedCount++;
    }
  }
  assert.ok(warnedCount > 50);
});
