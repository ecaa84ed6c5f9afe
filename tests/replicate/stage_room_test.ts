import assert from "node:assert/strict";
import { test } from "node:test";
import { takeRoom } from "../../src/replicate/stage_room.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

test("takeRoom() gives the same bytes of a disk to one only, until they are free again", async () => {
  using folder = temporaryFolder();
  const files = { ...systemFiles, freeBytes: () => Promise.resolve(100) };
  const take = (bytes: number) => takeRoom(folder.path, { bytes, files });
  // Whichever of them sees the disk first.
  const [first, ...others] = (await Promise.all([take(60), take(60)])).filter((room) => room !== undefined);
  assert.ok(first !== undefined);
  assert.deepEqual(others, []);
  using _ = await take(40);
  assert.equal(await take(1), undefined);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  using third = await take(60);
  assert.ok(third !== undefined);
  assert.equal(await take(1), undefined);
});

test("takeRoom() keeps the disks of this machine apart", async () => {
  using folder = temporaryFolder();
  let device = 1;
  const files = {
    ...systemFiles,
    freeBytes: () => Promise.resolve(100),
    stat: async (path: string) => ({ ...(await systemFiles.stat(path))!, device }),
  };
  using first = await takeRoom(folder.path, { bytes: 100, files });
  device = 2;
  using second = await takeRoom(folder.path, { bytes: 100, files });
  assert.ok(first !== undefined && second !== undefined);
  assert.equal(await takeRoom(folder.path, { bytes: 1, files }), undefined);
});
