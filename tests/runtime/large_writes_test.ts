import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import process from "node:process";
import { systemCode, systemFiles } from "../../src/runtime/files.ts";
import { pattern } from "../contract/object_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const KIB = 1024;

/** Descriptors of this process for a file. */
function descriptorsOf(path: string): number {
  const links = fs.readdirSync("/proc/self/fd").map((name) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${name}`);
    } catch {
      // That of the folder itself.
      return "";
    }
  });
  return links.filter((link) => link === path).length;
}

test("OpenFile.write() of large and small writes at once puts each in its place", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a");
  using file = await systemFiles.open(path, { access: "create-new", hasLargeWrites: true });
  const whole = pattern(3000 * KIB, 7);
  const cuts = [0, 1, 700 * KIB, 701 * KIB, 2000 * KIB, 2001 * KIB, 3000 * KIB];
  const parts = cuts.slice(1).map((end, at) => ({ start: cuts[at]!, end })).toReversed();
  await Promise.all(parts.map(({ start, end }) => file.write(whole.subarray(start, end), start)));
  await file.sync();
  assert.deepEqual(new Uint8Array(fs.readFileSync(path)), whole);
});

test("OpenFile.write() of much takes a descriptor of its own on Deno, and close() closes all", {
  skip: process.platform !== "linux",
}, async () => {
  using folder = temporaryFolder();
  const path = join(fs.realpathSync(folder.path), "a");
  const file = await systemFiles.open(path, { access: "create-new", hasLargeWrites: true });
  await file.write(new Uint8Array(100), 0);
  assert.equal(descriptorsOf(path), 1);
  await file.write(new Uint8Array(KIB * KIB), 100);
  assert.equal(descriptorsOf(path), "Deno" in globalThis ? 2 : 1);
  file.close();
  assert.equal(descriptorsOf(path), 0);
  await assert.rejects(file.write(new Uint8Array(KIB * KIB), 0), /is closed/);
});

test("OpenFile.write() of a large write goes into the file that was opened, not into one that took its name", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a");
  using file = await systemFiles.open(path, { access: "create-new", hasLargeWrites: true });
  fs.renameSync(path, `${path}.moved`);
  fs.writeFileSync(path, "another's");
  const bytes = pattern(KIB * KIB, 7);
  await file.write(bytes, 0);
  assert.equal(fs.readFileSync(path, "utf8"), "another's");
  assert.deepEqual(new Uint8Array(fs.readFileSync(`${path}.moved`)), bytes);
});

test("OpenFile.write() of a large write fails with the system's code", {
  skip: process.platform !== "linux",
}, async () => {
  using file = await systemFiles.open("/dev/full", { access: "read-write", hasLargeWrites: true });
  await assert.rejects(file.write(new Uint8Array(KIB * KIB), 0), (error) => systemCode(error) === "ENOSPC");
});
