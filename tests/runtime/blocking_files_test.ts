import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { blockingFiles } from "../../src/runtime/blocking_files.ts";
import { systemCode, systemFiles } from "../../src/runtime/files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

test("blockingFiles tells of paths and folders what systemFiles tells", async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "file"), "12345", { mode: 0o640 });
  mkdirSync(join(folder.path, "folder"), { mode: 0o750 });
  symlinkSync("folder", join(folder.path, "link"));
  symlinkSync("nowhere", join(folder.path, "dangling"));
  for (const name of ["file", "folder", "link", "dangling", "missing", "file/below", "."]) {
    const path = join(folder.path, name);
    assert.deepEqual(await blockingFiles.stat(path), await systemFiles.stat(path), name);
  }
  const byName = (left: { name: string }, right: { name: string }) => left.name < right.name ? -1 : 1;
  const listed = await blockingFiles.list(folder.path);
  assert.deepEqual(listed?.sort(byName), (await systemFiles.list(folder.path))?.sort(byName));
  assert.equal(listed?.length, 4);
  assert.deepEqual((await blockingFiles.listNames!(folder.path))?.sort(), listed?.map(({ name }) => name));
  assert.equal(await blockingFiles.listNames!(join(folder.path, "missing")), undefined);
  assert.equal(await blockingFiles.list(join(folder.path, "missing")), undefined);
  assert.equal(await blockingFiles.stat("/dev/null").then((stat) => stat?.isFile), false);
});

test("blockingFiles rejects with the system's code", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "x".repeat(300));
  for (const act of [blockingFiles.stat(path), blockingFiles.list(path), blockingFiles.listNames!(path)]) {
    await assert.rejects(act, (error) => systemCode(error) === "ENAMETOOLONG");
  }
});
