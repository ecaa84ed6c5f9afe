import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import process from "node:process";
import { watchFile } from "../../src/runtime/watch.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

test("Watch.isSure holds while it stands, on Deno only while no more than a hundred are open", () => {
  using folder = temporaryFolder();
  const watched = (at: number) => {
    const path = join(folder.path, `${at}.db-wal`);
    writeFileSync(path, "");
    return watchFile(path, () => {})!;
  };
  const isLinux = process.platform === "linux";
  const watches = Array.from({ length: 100 }, (_, at) => watched(at));
  const areSure = () => watches.map(({ isSure }) => isSure);
  assert.deepEqual(new Set(areSure()), new Set([isLinux]));
  watches.push(watched(100));
  assert.deepEqual(new Set(areSure()), new Set([isLinux && !("Deno" in globalThis)]));
  const last = watches.pop()!;
  last[Symbol.dispose]();
  last[Symbol.dispose]();
  assert.equal(last.isSure, false);
  assert.deepEqual(new Set(areSure()), new Set([isLinux]));
  for (const watch of watches) watch[Symbol.dispose]();
});
