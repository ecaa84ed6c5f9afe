import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { systemCode, systemFiles } from "../../src/runtime/files.ts";
import { makeFolders } from "../../src/runtime/folders.ts";
import { parentFolder } from "../../src/runtime/paths.ts";
import { pattern } from "../contract/object_store.ts";
import { failFiles } from "../doubles/failing_files.ts";
import { recordFiles } from "../doubles/recording_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const files = systemFiles;

test("Files.open() with each access does what it says", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "x");
  for (const access of ["read", "read-write"] as const) {
    await assert.rejects(files.open(path, { access }), { code: "ENOENT" });
    assert.throws(() => files.openSync(path, { access }), { code: "ENOENT" });
  }
  assert.equal(fs.existsSync(path), false);
  {
    using file = await files.open(path, { access: "create-new" });
    await file.write(pattern(10, 1), 0);
  }
  await assert.rejects(files.open(path, { access: "create-new" }), { code: "EEXIST" });
  {
    using file = files.openSync(path, { access: "read-write" });
    assert.equal(file.statSync().size, 10);
    file.writeSync(new Uint8Array([7]), 3);
  }
  assert.equal(fs.readFileSync(path)[3], 7);
  {
    using file = files.openSync(path, { access: "read" });
    assert.throws(() => file.writeSync(new Uint8Array(1), 0));
  }
  {
    using file = files.openSync(path, { access: "create" });
    assert.equal(file.statSync().size, 0);
  }
});

test("OpenFile.close() never fails, and never closes what has its number by then", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "x");
  const file = files.openSync(path, { access: "create" });
  const numbers = fs.readdirSync("/proc/self/fd").filter((number) => {
    try {
      return fs.readlinkSync(`/proc/self/fd/${number}`) === path;
    } catch {
      return false; // That of the listing.
    }
  });
  assert.equal(numbers.length, 1);
  const number = Number(numbers[0]);
  fs.closeSync(number);
  file.close();
  const other = fs.openSync(join(folder.path, "y"), "w");
  assert.equal(other, number, "the number was not given again");
  file.close();
  fs.writeSync(other, "still open");
  fs.closeSync(other);
});

test("OpenFile reads and writes at positions, and reads fewer bytes only at the end", async () => {
  using folder = temporaryFolder();
  const bytes = pattern(100_000, 2);
  using file = files.openSync(join(folder.path, "x"), { access: "create" });
  await file.write(bytes.subarray(0, 60_000), 0);
  file.writeSync(bytes.subarray(60_000), 60_000);
  for (
    const [position, size, expected] of [[0, 100_000, 100_000], [99_990, 50, 10], [100_000, 5, 0], [5, 0, 0]]
  ) {
    const into = new Uint8Array(size!);
    assert.equal(await file.read(into, position!), expected);
    assert.deepEqual(into.subarray(0, expected!), bytes.subarray(position!, position! + expected!));
    into.fill(0);
    assert.equal(file.readSync(into, position!), expected);
    assert.deepEqual(into.subarray(0, expected!), bytes.subarray(position!, position! + expected!));
  }
});

test("OpenFile.truncateSync(), setTimesSync(), syncSync() and sync() act on the file", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "x");
  using file = files.openSync(path, { access: "create" });
  file.writeSync(pattern(100, 3), 0);
  file.truncateSync(40);
  file.syncSync();
  await file.sync();
  assert.equal(fs.statSync(path).size, 40);
  for (const ms of [0, 1, 7, 123, 500, 999]) {
    const at = new Date(Date.UTC(2024, 4, 6, 7, 8, 9, ms));
    file.setTimesSync(at);
    assert.equal(file.statSync().modifiedAt.getTime(), at.getTime());
    assert.equal((await files.stat(path))!.modifiedAt.getTime(), at.getTime());
  }
});

test("OpenFile.close() twice is once, and a closed file refuses to work", async () => {
  using folder = temporaryFolder();
  const file = files.openSync(join(folder.path, "x"), { access: "create" });
  file.close();
  // Whoever opens next gets the same descriptor: a second close must not close theirs.
  using next = files.openSync(join(folder.path, "y"), { access: "create" });
  file.close();
  next.writeSync(new Uint8Array(1), 0);
  assert.throws(() => file.readSync(new Uint8Array(1), 0), /x is closed/);
  await assert.rejects(file.read(new Uint8Array(1), 0), /x is closed/);
  await assert.rejects(file.write(new Uint8Array(1), 0), /x is closed/);
});

test("Files.stat() says what is there; missing is undefined, also below a file", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "x");
  fs.writeFileSync(path, "hello");
  fs.chmodSync(path, 0o640);
  fs.linkSync(path, join(folder.path, "same"));
  const stat = (await files.stat(path))!;
  assert.deepEqual(files.statSync(path), stat);
  assert.equal(stat.size, 5);
  assert.equal(stat.mode, 0o640);
  assert.equal(stat.uid, fs.statSync(path).uid);
  assert.deepEqual([stat.isFile, stat.isFolder], [true, false]);
  const same = files.statSync(join(folder.path, "same"))!;
  assert.deepEqual([same.device, same.inode, same.linkCount], [stat.device, stat.inode, 2]);
  assert.equal(files.statSync(folder.path)!.isFolder, true);
  assert.notEqual(files.statSync(folder.path)!.inode, stat.inode);
  for (const missing of [join(folder.path, "no"), join(folder.path, "no", "where"), join(path, "below")]) {
    assert.equal(await files.stat(missing), undefined);
    assert.equal(files.statSync(missing), undefined);
  }
});

test("Files.list() gives entries; missing is undefined, also below a file", async () => {
  using folder = temporaryFolder();
  fs.mkdirSync(join(folder.path, "sub"));
  fs.writeFileSync(join(folder.path, "x"), "");
  const entries = (await files.list(folder.path))!.sort((left, right) => left.name < right.name ? -1 : 1);
  assert.deepEqual(entries, [{ name: "sub", isFolder: true }, { name: "x", isFolder: false }]);
  assert.deepEqual(files.listSync(join(folder.path, "sub")), []);
  for (const missing of [join(folder.path, "no"), join(folder.path, "x"), join(folder.path, "x", "y")]) {
    assert.equal(await files.list(missing), undefined);
    assert.equal(files.listSync(missing), undefined);
  }
});

test("Files.makeFolder() takes one that is there, and refuses a file in its place", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "sub");
  await files.makeFolder(path, { mode: 0o700 });
  await files.makeFolder(path, { mode: 0o755 });
  files.makeFolderSync(path, { mode: 0o755 });
  assert.equal(fs.statSync(path).mode & 0o777, 0o700);
  fs.writeFileSync(join(folder.path, "x"), "");
  await assert.rejects(files.makeFolder(join(folder.path, "x"), { mode: 0o700 }), { code: "EEXIST" });
  assert.throws(() => files.makeFolderSync(join(folder.path, "x"), { mode: 0o700 }), { code: "EEXIST" });
  await assert.rejects(files.makeFolder(join(folder.path, "no", "where"), { mode: 0o700 }), {
    code: "ENOENT",
  });
});

test("makeFolders() makes what is missing and says what it made, outermost first", async () => {
  using folder = temporaryFolder();
  const [a, b, c] = ["a", "a/b", "a/b/c"].map((name) => join(folder.path, name)) as [string, string, string];
  assert.deepEqual(await makeFolders(files, a, { mode: 0o750 }), [a]);
  assert.deepEqual(await makeFolders(files, c, { mode: 0o700 }), [b, c]);
  assert.deepEqual(await makeFolders(files, c, { mode: 0o777 }), []);
  assert.deepEqual([a, b, c].map((path) => fs.statSync(path).mode & 0o777), [0o750, 0o700, 0o700]);
  fs.writeFileSync(join(a, "x"), "");
  for (const path of [join(a, "x"), join(a, "x", "y", "z")]) {
    await assert.rejects(makeFolders(files, path, { mode: 0o700 }), {
      message: `mkdir ${join(a, "x")}: not a directory`,
    });
  }
});

test("Files.rename() replaces and Files.remove() passes over what is gone", async () => {
  using folder = temporaryFolder();
  const [from, to] = [join(folder.path, "from"), join(folder.path, "to")];
  for (const rename of [files.rename, files.renameSync]) {
    fs.writeFileSync(from, "new");
    fs.writeFileSync(to, "old");
    await rename(from, to);
    assert.equal(fs.readFileSync(to, "utf8"), "new");
    assert.equal(fs.existsSync(from), false);
  }
  await files.remove(to);
  await files.remove(to);
  files.removeSync(to);
  await assert.rejects(files.rename(from, to), { code: "ENOENT" });
});

test("Files.linkSync() gives a file a second name, and never replaces one", () => {
  using folder = temporaryFolder();
  const path = (name: string) => join(folder.path, name);
  fs.writeFileSync(path("x"), "hello");
  files.linkSync(path("x"), path("y"));
  assert.equal(fs.readFileSync(path("y"), "utf8"), "hello");
  assert.equal(files.statSync(path("y"))!.linkCount, 2);
  assert.throws(() => files.linkSync(path("x"), path("y")), (error) => systemCode(error) === "EEXIST");
  assert.throws(() => files.linkSync(path("no"), path("z")), (error) => systemCode(error) === "ENOENT");
});

test("Files.removeEmptyFolder() never takes what is in a folder", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "sub");
  fs.mkdirSync(path);
  fs.writeFileSync(join(path, "x"), "");
  assert.equal(await files.removeEmptyFolder(path), false);
  fs.rmSync(join(path, "x"));
  assert.equal(await files.removeEmptyFolder(path), true);
  assert.equal(await files.removeEmptyFolder(path), true);
  assert.equal(fs.existsSync(path), false);
});

test("Files.removeTree() takes a folder whole and passes over what is gone", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "sub");
  for (const remove of [files.removeTree, files.removeTreeSync]) {
    fs.mkdirSync(join(path, "deep"), { recursive: true });
    fs.writeFileSync(join(path, "deep", "x"), "");
    await remove(path);
    assert.equal(fs.existsSync(path), false);
    await remove(path);
  }
});

test("Files.syncFolder() syncs a folder and refuses a missing one", async () => {
  using folder = temporaryFolder();
  await files.syncFolder(folder.path);
  files.syncFolderSync(folder.path);
  await assert.rejects(files.syncFolder(join(folder.path, "no")), { code: "ENOENT" });
});

test("Files.changeOwner() passes over a refusal", async () => {
  using folder = temporaryFolder();
  const missing = join(folder.path, "no");
  await files.changeOwner(missing, { uid: 1, gid: 1 });
  files.changeOwnerSync(missing, { uid: 1, gid: 1 });
});

test("Files.freeBytes() is the room on the file system", async () => {
  using folder = temporaryFolder();
  const free = await files.freeBytes(folder.path);
  assert.ok(Number.isFinite(free) && free > 0, `${free}`);
});

test("systemCode() finds a code and nothing else", () => {
  assert.equal(systemCode(Object.assign(new Error("x"), { code: "EIO" })), "EIO");
  for (const other of [new Error("x"), null, undefined, "EIO", { code: 5 }]) {
    assert.equal(systemCode(other), undefined);
  }
  assert.equal(parentFolder("/a/b"), "/a");
});

test("recordFiles() writes down changes in order, with their begins and ends", async () => {
  using folder = temporaryFolder();
  const recording = recordFiles(files, { keepBytes: true });
  const path = join(folder.path, "x");
  const buffer = new Uint8Array([1, 2, 3]);
  {
    using file = await recording.files.open(path, { access: "create", mode: 0o640 });
    await file.write(buffer, 5);
    buffer.fill(0);
    file.truncateSync(6);
    await file.read(buffer, 0);
    await file.sync();
  }
  await recording.files.stat(path);
  await recording.files.rename(path, `${path}.to`);
  await assert.rejects(recording.files.rename(path, `${path}.to`));
  recording.files.removeSync(path);
  const seen = recording.calls.map((
    { kind, path: at, to, position, size, bytes, mode },
  ) => [kind, at, to ?? position ?? mode, size, bytes === undefined ? undefined : [...bytes]]);
  assert.deepEqual(seen, [
    ["open", path, 0o640, undefined, undefined],
    ["write", path, 5, 3, [1, 2, 3]],
    ["truncate", path, undefined, 6, undefined],
    ["sync", path, undefined, undefined, undefined],
    ["rename", path, `${path}.to`, undefined, undefined],
    ["rename", path, `${path}.to`, undefined, undefined],
    ["remove", path, undefined, undefined, undefined],
  ]);
  assert.deepEqual(recording.calls.map((call) => systemCode(call.error)), [
    ...Array<undefined>(5).fill(undefined),
    "ENOENT",
    undefined,
  ]);
  const clock = recording.calls.flatMap((call) => [call.begun, call.ended]);
  assert.deepEqual(clock, Array.from(clock.keys()));
});

test("recordFiles() shows that two calls ran at once", async () => {
  using folder = temporaryFolder();
  const { files: recorded, calls } = recordFiles(files, { kinds: ["stat"] });
  await Promise.all([recorded.stat(folder.path), recorded.stat(folder.path)]);
  assert.ok(calls[1]!.begun < calls[0]!.ended!);
});

test("failFiles() fails the nth matching call, as often as it is told", async () => {
  using folder = temporaryFolder();
  const { files: failing, failed } = failFiles(files, [
    { kind: "write", code: "ENOSPC", nth: 2, times: 2, path: /data$/ },
    { kind: "rename", code: "EIO", afterwards: true, path: /\.to$/ },
  ]);
  const path = join(folder.path, "data");
  const bytes = new Uint8Array([1]);
  {
    using other = await failing.open(join(folder.path, "other"), { access: "create" });
    using file = failing.openSync(path, { access: "create" });
    await other.write(bytes, 0);
    await file.write(bytes, 0);
    await other.write(bytes, 0);
    assert.throws(() => file.writeSync(bytes, 1), { code: "ENOSPC" });
    await assert.rejects(file.write(bytes, 1), { code: "ENOSPC" });
    await file.write(bytes, 1);
    assert.equal(file.statSync().size, 2);
  }
  await assert.rejects(failing.rename(path, `${path}.to`), { code: "EIO" });
  assert.equal(fs.existsSync(`${path}.to`), true, "it was done before it failed");
  assert.deepEqual(failed.map((call) => call.kind), ["write", "write", "rename"]);
});
