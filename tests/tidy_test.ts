import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { consoleUses, cycles, importBreaches, machineNames, type Sources } from "./tidy.ts";

const root = new URL("..", import.meta.url);
const NOT_OURS: readonly string[] = ["node_modules", ".git", ".cache", "dist", "coverage"];

/** Every file of the repository, read once. */
function repositorySources(): Sources {
  const sources = new Map<string, string>();
  const collect = (folder: string): void => {
    for (const entry of readdirSync(new URL(`./${folder}`, root), { withFileTypes: true })) {
      if (NOT_OURS.includes(entry.name) || folder + entry.name === "bench/results") continue;
      const path = folder + entry.name;
      if (entry.isDirectory()) collect(`${path}/`);
      else if (entry.isFile()) sources.set(path, readFileSync(new URL(path, root), "latin1"));
    }
  };
  collect("");
  assert.ok(sources.has("src/errors.ts") && sources.has("package.json"), "the repository was not found");
  return sources;
}

function dependencies(): string[] {
  const list = JSON.parse(readFileSync(new URL("package.json", root), "utf8")) as {
    dependencies: Record<string, string>;
  };
  return Object.keys(list.dependencies);
}

function source(path: string, text: string): Sources {
  return new Map([[path, text]]);
}

test("the repository imports in one direction only", () => {
  assert.deepEqual(importBreaches(repositorySources(), { dependencies: dependencies() }), []);
});

test("the repository has no cycles among src/*.ts", () => {
  assert.deepEqual(cycles(repositorySources()), []);
});

test("the repository uses no console in src", () => {
  assert.deepEqual(consoleUses(repositorySources()), []);
});

test("the repository names no folder of a machine and no registry", () => {
  assert.deepEqual(machineNames(repositorySources()), []);
});

test("importBreaches() finds each kind of breach", () => {
  const cases: [string, string, RegExp][] = [
    ["src/wal/a.ts", 'import { x } from "../codec/b.ts";', /wal\/ may not import from codec\//],
    ["src/wal/a.ts", 'import type { X } from "../database/b.ts";', /may not import from database/],
    ["src/wal/a.ts", 'export * from "../codec/b.ts";', /may not import from codec/],
    ["src/wal/a.ts", 'import {\n  x,\n  y,\n} from "../codec/b.ts";', /may not import from codec/],
    ["src/wal/a.ts", 'const b = await import("../codec/b.ts");', /may not import from codec/],
    ["src/wal/a.ts", 'import "../codec/b.ts";', /may not import from codec/],
    ["src/a.ts", 'import { x } from "./wal/b.ts";', /src\/\*\.ts may not import from wal/],
    ["src/codec/lz4/a.ts", 'import { x } from "../../runtime/b.ts";', /may not import from runtime/],
    ["src/restore/a.ts", 'import { x } from "../replicate/b.ts";', /may not import from replicate/],
    ["src/restore/a.ts", 'import { x } from "../storage/file_store.ts";', /a backend/],
    ["src/config/a.ts", 'import { x } from "../storage/object_store.ts";', /may not import from storage/],
    ["src/other/a.ts", 'import { x } from "../wal/b.ts";', /other\/ has no rule/],
    ["src/wal/a.ts", 'import { x } from "../../tests/b.ts";', /outside of src/],
    ["src/wal/a.ts", 'import fs from "node:fs";', /node:fs outside of runtime/],
    ["src/runtime/a.ts", 'import { D } from "node:sqlite";', /outside of runtime\/sqlite\.ts/],
    ["src/wal/a.ts", 'import { x } from "left-pad/sub";', /no dependency in package\.json/],
  ];
  for (const [path, text, expected] of cases) {
    const breaches = importBreaches(source(path, text), { dependencies: [] });
    assert.equal(breaches.length, 1, text);
    assert.match(breaches[0]!, expected);
  }
  const two = new Map([["src/a.ts", 'import x from "@a/b";'], ["src/b.ts", 'import y from "@a/b/c";']]);
  assert.deepEqual(importBreaches(two, { dependencies: ["@a/b"] }), [
    "@a/b is imported by src/a.ts and src/b.ts",
  ]);
});

test("importBreaches() lets pass what is allowed", () => {
  const cases: [string, string][] = [
    ["src/wal/a.ts", 'import { x } from "../errors.ts";\nimport { y } from "./b.ts";'],
    ["src/restore/a.ts", 'import { ReplicaClient } from "../storage/replica_client.ts";'],
    ["src/config/a.ts", 'import type { X } from "../database/b.ts";'],
    ["src/config/a.ts", 'import { parseReplicaUrl } from "../storage/replica_url.ts";'],
    ["src/cli/a.ts", 'const x = await import("../storage/file_store.ts");'],
    ["src/runtime/sqlite.ts", 'import { D } from "node:sqlite";'],
    ["src/wal/a.ts", '// import { x } from "../codec/b.ts";\n/* import "node:fs" */'],
    ["src/wal/a.ts", 'import x from "pure";'],
    ["tests/wal/a.ts", 'import fs from "node:fs";'],
  ];
  for (const [path, text] of cases) {
    assert.deepEqual(importBreaches(source(path, text), { dependencies: ["pure"] }), [], text);
  }
});

test("cycles() finds a cycle", () => {
  const sources = new Map([
    ["src/a.ts", 'import { b } from "./b.ts";'],
    ["src/b.ts", 'import type { C } from "./c.ts";'],
    ["src/c.ts", 'export { b } from "./b.ts";'],
  ]);
  assert.deepEqual(cycles(sources), ["src/b.ts → src/c.ts → src/b.ts"]);
});

test("consoleUses() and machineNames() find what they look for", () => {
  assert.equal(consoleUses(source("src/a.ts", "console.log(1);")).length, 1);
  assert.equal(consoleUses(source("src/a.ts", "// console.log(1);\nconst x = 1;")).length, 0);
  for (const folder of ["work", "root", "farm"]) {
    assert.equal(machineNames(source("docs/a.md", `see "/${folder}/x"`)).length, 1, folder);
    assert.equal(machineNames(source("a.md", `art${folder}/x, ./${folder}/x`)).length, 0, folder);
  }
  assert.equal(machineNames(source("a.json", "https://" + "registry" + ".npmjs.org/x")).length, 1);
  assert.equal(machineNames(source("a.md", "and the registry. It")).length, 0);
});
