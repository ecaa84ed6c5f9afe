import assert from "node:assert/strict";
import { closeSync, openSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { isHeldDeleted } from "../../src/runtime/open_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** A file of this process that is open and has lost its name. */
function loseFile(path: string): { descriptor: number; device: number } {
  writeFileSync(path, "x");
  const descriptor = openSync(path, "r");
  rmSync(path);
  return { descriptor, device: statSync(join(path, "..")).dev };
}

test("isHeldDeleted() sees who has a file open that lost its name, and no other one of that name", {
  skip: process.platform !== "linux",
}, () => {
  using folder = temporaryFolder();
  const paths = ["a", "b", "c"].map((name) => join(folder.path, name));
  const { descriptor, device } = loseFile(paths[0]!);
  assert.equal(isHeldDeleted(paths.slice(0, 2), { device }), true);
  assert.equal(isHeldDeleted([paths[0]!], { device: device + 1 }), false, "of another disk");
  // One that is there again is somebody else's.
  writeFileSync(paths[0]!, "y");
  assert.equal(isHeldDeleted([paths[0]!, paths[2]!], { device }), true);
  closeSync(descriptor);
  // Also right after a look that found nothing.
  const later = loseFile(paths[2]!);
  assert.equal(isHeldDeleted([paths[2]!], { device }), true);
  assert.equal(isHeldDeleted([paths[2]!], { device, changedMs: 0 }), true);
  closeSync(later.descriptor);
  writeFileSync(paths[1]!, "x");
  const open = openSync(paths[1]!, "r");
  assert.equal(isHeldDeleted([paths[1]!], { device }), false, "it has its name");
  closeSync(open);
});
