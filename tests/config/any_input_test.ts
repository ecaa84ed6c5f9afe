/** Whatever stands in the file: a configuration or a typed error, and soon. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConfigurationError } from "../../src/config/finding.ts";
import { readConfiguration } from "../../src/config/read_configuration.ts";
import { UsageError } from "../../src/errors.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { KEYS } from "../../src/config/keys.ts";
import { testOptions } from "./parsed.ts";

/** Far above what a small file takes, on a machine that does ten other things. */
const LIMIT_MS = 20_000;

/** Read `bytes` as if they were a file; anything but a configuration or an error for the user fails the test. */
function readBytes(bytes: Uint8Array): "read" | "refused" {
  const startedAt = performance.now();
  const stat = {
    ...systemFiles.statSync("/")!,
    isFolder: false,
    isFile: true,
    mode: 0o600,
    size: bytes.length,
  };
  const files = {
    ...systemFiles,
    statSync: () => stat,
    openSync: () => ({
      readSync: (into: Uint8Array, position: number) => {
        const part = bytes.subarray(position, position + into.length);
        into.set(part);
        return part.length;
      },
      [Symbol.dispose]() {},
    }),
  } as unknown as typeof systemFiles;
  try {
    const { configuration, warnings } = readConfiguration("/c.yml", {
      ...testOptions({ NAME: "a: b\n" }),
      files,
    });
    assert.ok(Array.isArray(configuration.databases));
    for (const { line, column } of warnings) assert.ok(line >= 1 && column >= 1);
    return "read";
  } catch (error) {
    assert.ok(error instanceof UsageError, error instanceof Error ? error.stack : String(error));
    assert.doesNotMatch(error.message, /\n/);
    const findings = error instanceof ConfigurationError ? error.findings : [];
    for (const { line, column } of findings) assert.ok(line >= 1 && column >= 1);
    return "refused";
  } finally {
    assert.ok(performance.now() - startedAt < LIMIT_MS, `took ${performance.now() - startedAt} ms`);
  }
}

const encode = (text: string) => new TextEncoder().encode(text);

test("readConfiguration() survives any bytes", () => {
  const seed = Date.now() % 1_000_000;
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => void readBytes(bytes)), {
    seed,
    numRuns: 500,
  });
});

test("readConfiguration() survives any pieces of YAML", () => {
  const seed = Date.now() % 1_000_000;
  const piece = fc.oneof(
    fc.constantFrom(...KEYS.map(({ key }) => `${key}: `)),
    fc.constantFrom(
      "\n",
      "\n  ",
      "\n    ",
      "- ",
      "[",
      "]",
      "{",
      "}",
      ", ",
      ": ",
      "'",
      '"',
      "|",
      ">",
      "&a ",
      "*a",
      "<<: ",
    ),
    fc.constantFrom(
      "/a",
      "s3://b/x",
      "10s",
      "5",
      "yes",
      "~",
      "!!binary ",
      "!!int ",
      "# ",
      "$NAME",
      "${",
      "é",
      "\t",
    ),
    fc.constantFrom("dbs:\n- path: /a\n  replicas:\n  - ", "dbs: [{path: /a, replicas: [{"),
  );
  let readCount = 0;
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      if (readBytes(encode(pieces.join(""))) === "read") readCount++;
    }),
    { seed, numRuns: 1500 },
  );
  assert.ok(readCount > 0, "none of them was a configuration");
});

test("readConfiguration() survives towers, floods and bombs", () => {
  const many = 20_000;
  const list = (name: string, item: string) => `${name}: [${item.repeat(1000)}]`;
  const inputs: Record<string, string> = {
    brackets: "[".repeat(many),
    brackets2: "[a,".repeat(many),
    braces: "{a: ".repeat(many),
    dashes: "- ".repeat(many),
    questions: "? ".repeat(many),
    anchors: "&a ".repeat(many),
    tags: "! ".repeat(many),
    quotes: '"'.repeat(many),
    openQuote: `a: "x\n${"b\n".repeat(many)}`,
    flow: `a: [${"\nb,".repeat(2000)}`,
    stairs: Array.from({ length: 500 }, (_, at) => `${" ".repeat(at)}a:`).join("\n"),
    documents: "---\n".repeat(many / 5),
    variables: "$NONE ${".repeat(many),
    digits: `dbs: [{path: /a, monitor-interval: ${"9".repeat(many)}}]`,
    keys: Array.from({ length: 5000 }, (_, at) => `key${at}: 1`).join("\n"),
    bomb: `r: &r\n  ${list("x", "{path: /x},")}\nl: &l [*r, *r]\n${list("dbs", "{path: /d, replicas: *l},")}`,
    bomb2: `r: &r [${"{path: /x},".repeat(1000)}]\nd: &d {path: /y, replicas: *r}\n${list("dbs", "*d,")}`,
  };
  for (const [name, text] of Object.entries(inputs)) assert.ok(readBytes(encode(text)), name);
});

test("readConfiguration() refuses a file of more than 16 MiB", () => {
  assert.equal(readBytes(new Uint8Array(16 * 1024 * 1024 + 1).fill(0x23)), "refused");
  assert.equal(readBytes(new Uint8Array(16 * 1024 * 1024).fill(0x23)), "read");
});
