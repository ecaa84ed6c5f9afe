import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { readAll } from "../../src/bytes.ts";
import { describeError, isAway, NotFoundError, UsageError } from "../../src/errors.ts";
import { blockingFiles } from "../../src/runtime/blocking_files.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { FileStore, type FileStoreOptions } from "../../src/storage/file_store.ts";
import { segmentKey, snapshotKey } from "../../src/storage/keys.ts";
import type { ObjectInfo, ObjectStore } from "../../src/storage/object_store.ts";
import { objectStoreContract, pattern, reusingStream } from "../contract/object_store.ts";
import { failFiles, type FailRule, systemError } from "../doubles/failing_files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { recordFiles } from "../doubles/recording_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const GENERATION = "0123456789abcdef";
const KEY = segmentKey({ generation: GENERATION, index: 0, offset: 0 });
const FOLDERS = ["generations", `generations/${GENERATION}`, `generations/${GENERATION}/wal`];

objectStoreContract({
  name: "FileStore",
  open() {
    const folder = temporaryFolder();
    const store = new FileStore({ root: join(folder.path, "a", "replica") });
    return Promise.resolve({ store, cleanup: () => Promise.resolve(folder[Symbol.dispose]()) });
  },
});

objectStoreContract({
  name: "FileStore with mustExist",
  manyCount: 100,
  largestSize: 65_536,
  open() {
    const folder = temporaryFolder();
    const store = new FileStore({ root: `${folder.path}/`, mustExist: true });
    return Promise.resolve({ store, cleanup: () => Promise.resolve(folder[Symbol.dispose]()) });
  },
});

objectStoreContract({
  name: "FileStore that blocks",
  manyCount: 2500,
  largestSize: 65_536,
  open() {
    const folder = temporaryFolder();
    const store = new FileStore({ root: folder.path, files: blockingFiles });
    return Promise.resolve({ store, cleanup: () => Promise.resolve(folder[Symbol.dispose]()) });
  },
});

/** A store in the folder `root`. */
function storeIn(root: string, options: Partial<FileStoreOptions> = {}): FileStore {
  return new FileStore({ root, ...options });
}

async function keysOf(store: ObjectStore, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const object of store.list(prefix)) keys.push(object.key);
  return keys.sort();
}

/** Every path under `root`, folders with a slash at the end. */
function tree(root: string): string[] {
  return fs.readdirSync(root, { withFileTypes: true, recursive: true })
    .map((entry) =>
      join(entry.parentPath, entry.name).slice(root.length + 1) + (entry.isDirectory() ? "/" : "")
    )
    .sort();
}

async function failureOf(promise: Promise<unknown>): Promise<string> {
  let text: string | undefined;
  await promise.catch((error) => text = describeError(error));
  assert.ok(text !== undefined, "it succeeded");
  assert.ok(!text.includes("\n"), text);
  return text;
}

test("FileStore refuses an empty and a relative root (case 4)", () => {
  assert.throws(() => new FileStore({ root: "" }), {
    name: "UsageError",
    message: "file replica path required",
  });
  assert.throws(() => new FileStore({ root: "backup" }), UsageError);
});

test("FileStore.place is the folder without a slash at its end", () => {
  assert.equal(new FileStore({ root: "/backup/app/" }).place, "/backup/app");
  assert.equal(new FileStore({ root: "/" }).place, "/");
});

test("FileStore.put() syncs the file before the rename, and each folder before it says so", async () => {
  using folder = temporaryFolder();
  const root = join(folder.path, "replica");
  const { files, calls } = recordFiles(systemFiles);
  await storeIn(root, { files }).put(KEY, pattern(1000, 1));
  const path = join(root, KEY);
  const steps = calls.map((call) => `${call.kind} ${call.path.slice(folder.path.length)}`);
  const made = ["", ...FOLDERS.map((name) => `/${name}`)].flatMap((name) => {
    const above = `/replica${name}`.slice(0, `/replica${name}`.lastIndexOf("/"));
    return [`make-folder /replica${name}`, `sync-folder ${above}`];
  });
  assert.deepEqual(steps, [
    ...made,
    `open /replica/${KEY}.tmp`,
    `write /replica/${KEY}.tmp`,
    `sync /replica/${KEY}.tmp`,
    `rename /replica/${KEY}.tmp`,
    `sync-folder /replica/${FOLDERS[2]}`,
  ]);
  assert.equal(calls.find((call) => call.kind === "rename")!.to, path);
  for (const [at, call] of calls.slice(1).entries()) {
    assert.ok(calls[at]!.ended! < call.begun, `${call.kind} began before ${calls[at]!.kind} had ended`);
  }
});

test("FileStore.put() syncs folders that an earlier process made, once", async () => {
  using folder = temporaryFolder();
  fs.mkdirSync(join(folder.path, FOLDERS[2]!), { recursive: true });
  const { files, calls } = recordFiles(systemFiles, { kinds: ["sync-folder", "make-folder"] });
  const store = storeIn(folder.path, { files });
  await store.put(KEY, pattern(10, 1));
  const wal = join(folder.path, FOLDERS[2]!);
  assert.deepEqual(calls.map((call) => [call.kind, call.path]), [
    ["sync-folder", folder.path],
    ["sync-folder", join(folder.path, FOLDERS[0]!)],
    ["sync-folder", join(folder.path, FOLDERS[1]!)],
    ["sync-folder", wal],
  ]);
  calls.length = 0;
  await store.put(segmentKey({ generation: GENERATION, index: 1, offset: 0 }), pattern(10, 1));
  assert.deepEqual(calls.map((call) => call.path), [wal]);
});

test("FileStore.put() waits with a folder that another put has made until it is synced", async () => {
  using folder = temporaryFolder();
  const { files, calls } = recordFiles(systemFiles);
  const store = storeIn(join(folder.path, "r"), { files });
  const keys = [0, 1, 2, 3].map((index) => segmentKey({ generation: GENERATION, index, offset: 0 }));
  await Promise.all(keys.map((key) => store.put(key, pattern(10, 1))));
  const lastFolderSync = Math.max(
    ...calls.filter((call) => call.kind === "sync-folder" && !call.path.endsWith("/wal")).map((call) =>
      call.ended!
    ),
  );
  const firstRename = Math.min(...calls.filter((call) => call.kind === "rename").map((call) => call.begun));
  assert.ok(lastFolderSync < firstRename);
  assert.equal(calls.filter((call) => call.kind === "make-folder").length, 4);
});

test("FileStore.put() uses the database's modes under the umask", async () => {
  using folder = temporaryFolder();
  const modes = (root: string) =>
    ["", ...FOLDERS, KEY].map((name) => (fs.statSync(join(root, name)).mode & 0o777).toString(8));
  const umask = process.umask(0o022);
  try {
    const permissions = () => ({ fileMode: 0o664, folderMode: 0o775 });
    await storeIn(join(folder.path, "known"), { permissions }).put(KEY, pattern(10, 1));
    assert.deepEqual(modes(join(folder.path, "known")), ["755", "755", "755", "755", "644"]);
    await storeIn(join(folder.path, "unknown"), { permissions: () => undefined }).put(KEY, pattern(10, 1));
    assert.deepEqual(modes(join(folder.path, "unknown")), ["700", "700", "700", "700", "600"]);
  } finally {
    process.umask(umask);
  }
});

test("FileStore.put() leaves the modes of folders that are there", async () => {
  using folder = temporaryFolder();
  const root = join(folder.path, "r");
  fs.mkdirSync(root, { mode: 0o750 });
  await storeIn(root, { permissions: () => ({ fileMode: 0o600, folderMode: 0o711 }) }).put(
    KEY,
    pattern(10, 1),
  );
  assert.equal(fs.statSync(root).mode & 0o777, 0o750);
  assert.equal(fs.statSync(join(root, "generations")).mode & 0o777, 0o711);
});

test("FileStore.put() gives files and new folders to their owners, and asks nothing when unknown", async () => {
  using folder = temporaryFolder();
  const given: string[] = [];
  const files: Files = {
    ...systemFiles,
    changeOwner(path, { uid, gid }) {
      given.push(`${path.slice(folder.path.length)} ${uid}:${gid}`);
      return Promise.resolve();
    },
  };
  const permissions = () => ({
    fileMode: 0o600,
    folderMode: 0o700,
    fileOwner: { uid: 12, gid: 34 },
    folderOwner: { uid: 56, gid: 78 },
  });
  await storeIn(join(folder.path, "r"), { files, permissions }).put(KEY, pattern(10, 1));
  assert.deepEqual(given, [
    "/r 56:78",
    ...FOLDERS.map((name) => `/r/${name} 56:78`),
    `/r/${KEY}.tmp 12:34`,
  ]);
  given.length = 0;
  await storeIn(join(folder.path, "s"), { files }).put(KEY, pattern(10, 1));
  assert.deepEqual(given, []);
});

test("FileStore with mustExist refuses to put and list without its folder and makes nothing", async () => {
  using folder = temporaryFolder();
  const root = join(folder.path, "mounted", "app");
  const store = storeIn(root, { mustExist: true });
  const told = `replica folder ${root} is not there; mount its disk or make the folder`;
  const calls = [
    () => store.put(KEY, pattern(10, 1)),
    () => store.put(KEY, reusingStream(pattern(10, 1), 3)),
    () => keysOf(store),
    () => store.listFolders("generations/"),
    () => store.get(KEY),
    () => store.delete([KEY]),
  ];
  for (const call of calls) assert.equal(await failureOf(call()), told);
  assert.deepEqual(tree(folder.path), []);
});

test("FileStore with mustExist refuses again when its folder goes away, and works once it is back", async () => {
  using folder = temporaryFolder();
  const root = join(folder.path, "app");
  fs.mkdirSync(root);
  const store = storeIn(root, { mustExist: true });
  await store.put(KEY, pattern(10, 1));
  fs.rmSync(root, { recursive: true });
  assert.match(await failureOf(store.put(KEY, pattern(10, 1))), /is not there/);
  assert.equal(fs.existsSync(root), false);
  fs.mkdirSync(root);
  // It is back, but not what was in it.
  await assert.rejects(store.put(KEY, pattern(10, 1)), { name: "NotFoundError" });
  await store.put(KEY, pattern(10, 1));
  assert.deepEqual(await keysOf(store), [KEY]);
});

test("FileStore with mustExist doesn't make a folder that goes away right after it was seen", async () => {
  using folder = temporaryFolder();
  const root = join(folder.path, "app");
  fs.mkdirSync(root);
  let looks = 0;
  const files: Files = {
    ...systemFiles,
    async stat(path) {
      const stat = await systemFiles.stat(path);
      if (path === root && looks++ === 0) fs.rmdirSync(root);
      return stat;
    },
  };
  await assert.rejects(storeIn(root, { files, mustExist: true }).put(KEY, pattern(10, 1)));
  assert.deepEqual(tree(folder.path), []);
});

test("FileStore.list() passes over links to folders and to nowhere", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  await store.put(KEY, pattern(10, 1));
  fs.symlinkSync(folder.path, join(folder.path, "generations", "round"));
  fs.symlinkSync(join(folder.path, "nowhere"), join(folder.path, "generations", "broken"));
  assert.deepEqual(await keysOf(store), [KEY]);
  assert.deepEqual(await store.listFolders("generations/"), [GENERATION]);
});

test("FileStore.get() closes its file only after the read that is running", async () => {
  using folder = temporaryFolder();
  await storeIn(folder.path).put(KEY, pattern(1_000_000, 1));
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const files = hookFiles(systemFiles, (call, act) => {
    if (call.kind !== "read") return act();
    begun.resolve();
    return gate.promise.then(act) as ReturnType<typeof act>;
  });
  const { files: recorded, calls } = recordFiles(files, { kinds: ["read", "close"] });
  const reader = (await storeIn(folder.path, { files: recorded }).get(KEY)).getReader();
  const pending = reader.read();
  await begun.promise;
  const cancelled = reader.cancel();
  gate.resolve();
  await Promise.all([pending, cancelled]);
  assert.deepEqual(calls.map((call) => [call.kind, call.error]), [["read", undefined], ["close", undefined]]);
  assert.ok(calls[0]!.ended! < calls[1]!.begun);
});

test("FileStore.put() says that somebody removed its folders, then makes them again", async () => {
  using folder = temporaryFolder();
  const root = join(folder.path, "app");
  const store = storeIn(root);
  await store.put(KEY, pattern(10, 1));
  fs.rmSync(root, { recursive: true });
  await assert.rejects(store.put(KEY, pattern(11, 1)), {
    name: "NotFoundError",
    message:
      /^cannot write \S+\.tmp: somebody removed its folder, .*; if a disk was unmounted, mount it again$/,
  });
  assert.equal(fs.existsSync(root), false);
  await store.put(KEY, pattern(11, 1));
  assert.equal(fs.statSync(join(root, KEY)).size, 11);
});

test("FileStore says that its root is a file", async () => {
  using folder = temporaryFolder();
  const root = join(folder.path, "app");
  fs.writeFileSync(root, "x");
  const store = storeIn(root);
  const told = `replica path ${root} is not a folder; move it away or give the replica a folder`;
  assert.equal(await failureOf(store.put(KEY, pattern(10, 1))), told);
  assert.equal(await failureOf(keysOf(store)), told);
  assert.equal(await failureOf(store.get(KEY)), told);
});

test("FileStore.put() names the part of its path that is a file", async () => {
  using folder = temporaryFolder();
  fs.writeFileSync(join(folder.path, "generations"), "x");
  const text = await failureOf(storeIn(folder.path).put(KEY, pattern(10, 1)));
  assert.match(
    text,
    /^cannot make folder .*\/wal: a part of this path is a file.*: mkdir .*\/generations: not a directory$/,
  );
});

test("FileStore passes over temporary files in every listing", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  await store.put(KEY, pattern(10, 1));
  fs.writeFileSync(join(folder.path, `${KEY}.tmp`), "left by a crash");
  fs.writeFileSync(join(folder.path, `${KEY}.1.tmp`), "left by a crash");
  const other = `generations/${"f".repeat(16)}/wal`;
  fs.mkdirSync(join(folder.path, other), { recursive: true });
  fs.writeFileSync(join(folder.path, other, "00000000_00000000.wal.lz4.tmp"), "");
  assert.deepEqual(await keysOf(store), [KEY]);
  assert.deepEqual(await store.listFolders("generations/"), [GENERATION]);
});

test("FileStore.put() replaces the temporary file of a crashed put", async () => {
  using folder = temporaryFolder();
  fs.mkdirSync(join(folder.path, FOLDERS[2]!), { recursive: true });
  fs.writeFileSync(join(folder.path, `${KEY}.tmp`), pattern(5000, 9));
  await storeIn(folder.path).put(KEY, pattern(10, 1));
  assert.deepEqual(tree(folder.path), [...FOLDERS.map((name) => `${name}/`), KEY]);
  assert.equal(fs.statSync(join(folder.path, KEY)).size, 10);
});

/** Written to for the last time so long ago. */
function leave(path: string, { minutes }: { minutes: number }): void {
  fs.mkdirSync(dirname(path), { recursive: true });
  fs.writeFileSync(path, "half of it");
  const at = new Date(Date.now() - minutes * 60_000);
  fs.utimesSync(path, at, at);
}

test("FileStore.cleanUp() removes old temporary files of ours and nothing else", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  const snapshot = snapshotKey({ generation: "f".repeat(16), index: 7 });
  const [second, young] = [1, 2].map((index) => segmentKey({ generation: GENERATION, index, offset: 0 }));
  const left = [`${KEY}.tmp`, `${second}.12.tmp`, `${snapshot}.tmp`];
  const kept = [
    KEY,
    `${second}.0.tmp`,
    `${second}.x.tmp`,
    `${FOLDERS[2]}/notes.tmp`,
    `${FOLDERS[2]}/deeper/00000000_00000000.wal.lz4.tmp`,
    "generations/notes/wal/00000000_00000000.wal.lz4.tmp",
    "00000000_00000000.wal.lz4.tmp",
  ];
  for (const name of [...left, ...kept]) leave(join(folder.path, name), { minutes: 61 });
  leave(join(folder.path, `${young}.tmp`), { minutes: 59 });
  const before = tree(folder.path);
  assert.equal(await store.cleanUp(), 3);
  assert.deepEqual(tree(folder.path), before.filter((name) => !left.includes(name)));
  assert.equal(await store.cleanUp(), 0);
  assert.equal(await storeIn(join(folder.path, "not there")).cleanUp(), 0);
});

test("FileStore.cleanUp() leaves the file of a put that is running, however long nothing came", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  const path = join(folder.path, `${KEY}.tmp`);
  let counts: number[] = [];
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const at = new Date(Date.now() - 3_700_000);
      fs.utimesSync(path, at, at);
      counts = [await store.cleanUp()];
      controller.enqueue(pattern(10, 1));
      controller.close();
    },
  }, { highWaterMark: 0 });
  await store.put(KEY, body);
  assert.deepEqual(counts, [0]);
  assert.equal(fs.statSync(join(folder.path, KEY)).size, 10);
});

test("FileStore.cleanUp() keeps a put of the same key away from the file that it removes", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, `${KEY}.tmp`);
  leave(path, { minutes: 61 });
  let put: Promise<unknown> | undefined;
  const begin = () => new Promise<void>((resolve) => put = store.put(KEY, streamThatTells(resolve)));
  const files: Files = {
    ...systemFiles,
    async remove(removed) {
      if (removed === path && put === undefined) await begin();
      await systemFiles.remove(removed);
    },
  };
  const store = storeIn(folder.path, { files });
  assert.equal(await store.cleanUp(), 1);
  await put;
  assert.deepEqual(tree(folder.path), [...FOLDERS.map((name) => `${name}/`), KEY]);
});

/** Ten bytes; `tell` is called when the first are asked for. */
function streamThatTells(tell: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream({
    pull(controller) {
      tell();
      controller.enqueue(pattern(10, 1));
      controller.close();
    },
  }, { highWaterMark: 0 });
}

test("FileStore.cleanUp() tells of the first file that it can't remove, and removes the others", async () => {
  using folder = temporaryFolder();
  const snapshot = snapshotKey({ generation: GENERATION, index: 0 });
  for (const key of [KEY, snapshot]) leave(join(folder.path, `${key}.tmp`), { minutes: 61 });
  const files: Files = {
    ...systemFiles,
    remove: (path) =>
      path.endsWith(`${KEY}.tmp`)
        ? Promise.reject(systemError("EACCES", { kind: "remove", path }))
        : systemFiles.remove(path),
  };
  assert.match(
    await failureOf(storeIn(folder.path, { files }).cleanUp()),
    /^cannot delete .*permission denied/,
  );
  assert.deepEqual(tree(folder.path).filter((name) => name.endsWith(".tmp")), [`${KEY}.tmp`]);
});

test("FileStore.put() refuses to publish what another process put in its place", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, `${KEY}.tmp`);
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      fs.renameSync(path, `${path}.gone`);
      fs.writeFileSync(path, "half of another's");
      controller.enqueue(pattern(10, 1));
      controller.close();
    },
  }, { highWaterMark: 0 });
  assert.match(await failureOf(storeIn(folder.path).put(KEY, body)), /another process replaced it/);
  assert.equal(fs.existsSync(join(folder.path, KEY)), false);
});

test("FileStore.put() leaves no temporary file after a failing body, an abort and a failing disk", async () => {
  for (const kind of ["body", "abort", "write", "sync", "rename"] as const) {
    using folder = temporaryFolder();
    const abort = new AbortController();
    const rules: FailRule[] = kind === "body" || kind === "abort" ? [] : [{ kind, code: "EIO" }];
    const { files } = failFiles(systemFiles, rules);
    const store = storeIn(folder.path, { files });
    let chunks = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (kind === "body" && chunks === 2) throw new Error("source failed");
        if (kind === "abort" && chunks === 2) abort.abort();
        if (chunks++ === 3) controller.close();
        else controller.enqueue(pattern(1000, 1));
      },
    }, { highWaterMark: 0 });
    await assert.rejects(store.put(KEY, body, { signal: abort.signal }), kind);
    assert.deepEqual(tree(folder.path), FOLDERS.map((name) => `${name}/`), kind);
  }
});

test("FileStore.put() with a failing folder sync fails: the object may not last", async () => {
  using folder = temporaryFolder();
  const { files } = failFiles(systemFiles, [{ kind: "sync-folder", code: "EIO", path: /\/wal$/ }]);
  const text = await failureOf(storeIn(folder.path, { files }).put(KEY, pattern(10, 1)));
  assert.match(text, /^cannot write .*its disk fails; check it: EIO/);
});

test("FileStore tells what each system error means and what to do", async () => {
  const cases: [FailRule, RegExp][] = [
    [
      { kind: "write", code: "ENOSPC" },
      /^cannot write .*\.wal\.lz4\.tmp: its disk is full; free some space there: ENOSPC/,
    ],
    [{ kind: "write", code: "EDQUOT" }, /quota is used up; free some space/],
    [
      { kind: "open", code: "EACCES" },
      /^cannot write .*: permission denied; let the user that walbrook runs as/,
    ],
    [{ kind: "open", code: "EROFS" }, /mounted read-only; mount it for writing/],
    [{ kind: "open", code: "EMFILE" }, /too many open files; raise the limit \(ulimit -n\)/],
    [{ kind: "make-folder", code: "EACCES" }, /^cannot make folder .*permission denied/],
    [{ kind: "sync", code: "EIO" }, /its disk fails; check it/],
    [{ kind: "write", code: "EWHATEVER" }, /^cannot write .*\.tmp: EWHATEVER: made to fail/],
  ];
  for (const [rule, expected] of cases) {
    using folder = temporaryFolder();
    const { files, failed } = failFiles(systemFiles, [rule]);
    const store = storeIn(join(folder.path, "r"), { files });
    assert.match(await failureOf(store.put(KEY, pattern(10, 1))), expected);
    assert.equal(failed.length, 1);
    // It was one failure: the next try goes through.
    await store.put(KEY, pattern(10, 1));
    assert.deepEqual(await keysOf(store), [KEY]);
  }
});

test("FileStore says which failures cost nothing to run into again: not a disk that each try fills", async () => {
  const cases = { EACCES: true, EROFS: true, ESTALE: true, ENOSPC: false, EDQUOT: false, EIO: false };
  for (const [code, expected] of Object.entries(cases)) {
    using folder = temporaryFolder();
    const { files } = failFiles(systemFiles, [{ kind: "open", code, nth: 1 }]);
    const error = await storeIn(join(folder.path, "r"), { files }).put(KEY, pattern(10, 1)).catch((error) =>
      error
    );
    assert.equal(isAway(new Error("monitor", { cause: error })), expected, code);
  }
});

test("FileStore treats a permission error while listing as an error", async () => {
  using folder = temporaryFolder();
  await storeIn(folder.path).put(KEY, pattern(10, 1));
  const denied = failFiles(systemFiles, [{ kind: "list", code: "EACCES", path: /wal$/, times: Infinity }]);
  const store = storeIn(folder.path, { files: denied.files });
  assert.match(await failureOf(keysOf(store)), /^cannot list .*\/wal: permission denied/);
  assert.match(await failureOf(store.listFolders("generations/")), /^cannot list .*\/wal: permission denied/);
  const blind = failFiles(systemFiles, [{ kind: "stat", code: "EACCES", path: /lz4$/ }]);
  assert.match(
    await failureOf(keysOf(storeIn(folder.path, { files: blind.files }))),
    /^cannot read .*permission/,
  );
});

test("FileStore.list() passes over files that vanish between the listing and the look", async () => {
  using folder = temporaryFolder();
  const gone = segmentKey({ generation: GENERATION, index: 1, offset: 0 });
  await storeIn(folder.path).put(KEY, pattern(10, 1));
  await storeIn(folder.path).put(gone, pattern(10, 1));
  let vanished = 0;
  const files = hookFiles(systemFiles, (call, act) => {
    if (call.kind === "stat" && call.path.endsWith(gone)) {
      fs.rmSync(call.path);
      vanished++;
    }
    return act();
  });
  assert.deepEqual(await keysOf(storeIn(folder.path, { files })), [KEY]);
  assert.equal(vanished, 1);
});

test("FileStore.delete() tries all, then throws the first failure", async () => {
  using folder = temporaryFolder();
  const { files } = failFiles(systemFiles, [{
    kind: "remove",
    code: "EACCES",
    path: /00000001_00000000\.wal\.lz4$/,
  }]);
  const keys = [0, 1, 2].map((index) => segmentKey({ generation: GENERATION, index, offset: 0 }));
  for (const key of keys) await storeIn(folder.path).put(key, pattern(10, 1));
  const text = await failureOf(storeIn(folder.path, { files }).delete(keys));
  assert.match(text, /^cannot delete .*00000001_00000000\.wal\.lz4: permission denied/);
  assert.deepEqual(await keysOf(storeIn(folder.path)), [keys[1]]);
});

test("FileStore.delete() has brought each removal to the disk when it says so", async () => {
  using folder = temporaryFolder();
  const { files, calls } = recordFiles(systemFiles, { kinds: ["remove", "sync-folder"] });
  const store = new FileStore({ root: folder.path, files });
  const keys = ["generations/a/wal/1", "generations/a/snapshots/1", "generations/b/wal/1"];
  for (const key of [...keys, "generations/a/wal/2"]) await store.put(key, Uint8Array.of(1));
  calls.length = 0;
  await store.delete([...keys, "generations/c/wal/never-there"]);
  for (const key of keys) {
    const removal = calls.find(({ kind, path }) => kind === "remove" && path === join(folder.path, key))!;
    const sync = calls.find(({ kind, path }) => kind === "sync-folder" && path === dirname(removal.path))!;
    assert.ok(sync.begun > removal.ended!, key);
    assert.ok(sync.ended !== undefined, key);
  }
});

test("FileStore.delete() removes the folders of an emptied generation with its leftovers, and no other", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  const snapshot = snapshotKey({ generation: GENERATION, index: 0 });
  const other = snapshotKey({ generation: "f".repeat(16), index: 0 });
  for (const key of [KEY, snapshot, other]) await store.put(key, pattern(10, 1));
  fs.writeFileSync(join(folder.path, `${KEY}.tmp`), "left by a crash");
  await store.delete([KEY]);
  assert.ok(fs.existsSync(join(folder.path, FOLDERS[2]!)), "the generation still has a snapshot");
  await store.delete([snapshot]);
  assert.deepEqual(tree(folder.path), [
    "generations/",
    `generations/${"f".repeat(16)}/`,
    `generations/${"f".repeat(16)}/snapshots/`,
    other,
  ]);
  await store.delete([other]);
  assert.deepEqual(tree(folder.path), ["generations/"]);
});

test("FileStore.delete() leaves a generation that holds something foreign", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  await store.put(KEY, pattern(10, 1));
  const foreign = `generations/${GENERATION}/README`;
  fs.writeFileSync(join(folder.path, foreign), "mine");
  await store.delete([KEY]);
  assert.deepEqual(tree(folder.path), ["generations/", `generations/${GENERATION}/`, foreign]);
});

test("FileStore.delete() of the last object doesn't get in the way of a put that is running", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  await store.put(KEY, pattern(10, 1));
  const next = segmentKey({ generation: GENERATION, index: 1, offset: 0 });
  let deleted = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await store.delete([KEY]);
      deleted = true;
      controller.enqueue(pattern(10, 2));
      controller.close();
    },
  }, { highWaterMark: 0 });
  await store.put(next, body);
  assert.ok(deleted);
  assert.deepEqual(await keysOf(store), [next]);
});

test("FileStore.put() survives deletes of the same generation at every moment", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  const deletes: Promise<void>[] = [];
  const puts: Promise<ObjectInfo>[] = [];
  for (let index = 0; index < 60; index++) {
    const key = segmentKey({ generation: GENERATION, index, offset: 0 });
    puts.push(
      store.put(key, pattern(10, 1)).then((info) => {
        deletes.push(store.delete([key]));
        return info;
      }),
    );
    if (index % 3 === 0) await puts[Math.floor(index / 2)];
  }
  await Promise.all(puts);
  await Promise.all(deletes);
  assert.deepEqual(await keysOf(store), []);
});

test("FileStore refuses keys that leave its folder", async () => {
  using folder = temporaryFolder();
  const store = storeIn(join(folder.path, "r"));
  for (const key of ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a/.", "a\0b"]) {
    const told = `not a key of a store: ${JSON.stringify(key)}`;
    assert.equal(await failureOf(store.put(key, pattern(1, 1))), told);
    assert.equal(await failureOf(store.get(key)), told);
    assert.equal(await failureOf(store.delete([key])), told);
  }
  await assert.rejects(keysOf(store, "../"));
  await assert.rejects(keysOf(store, "generations"));
  await assert.rejects(store.put(`${KEY}.tmp`, pattern(1, 1)), /not a key/);
  assert.deepEqual(tree(folder.path), []);
});

test("FileStore.put() cancels the source that it refuses to read", async () => {
  using folder = temporaryFolder();
  const cancelled: unknown[] = [];
  const body = () =>
    new ReadableStream<Uint8Array>({ cancel: (reason) => void cancelled.push(reason) }, { highWaterMark: 0 });
  const store = storeIn(join(folder.path, "r"), { mustExist: true });
  await assert.rejects(store.put("../x", body()));
  await assert.rejects(store.put(KEY, body()));
  await assert.rejects(store.put(KEY, body(), { signal: AbortSignal.abort() }));
  assert.equal(cancelled.length, 3);
});

test("FileStore.get() closes its file at the end, on an error, on cancel and on abort", async () => {
  using folder = temporaryFolder();
  await storeIn(folder.path).put(KEY, pattern(1_000_000, 1));
  let open = 0;
  const rules: FailRule[] = [];
  const counting = hookFiles(failFiles(systemFiles, rules).files, (call, act) => {
    if (call.kind === "open") open++;
    if (call.kind === "close") open--;
    return act();
  });
  const store = storeIn(folder.path, { files: counting });
  await readAll(await store.get(KEY), { limit: 1_000_000 });
  assert.equal(open, 0, "end");
  await readAll(await store.get(KEY, { range: { start: 5, end: 5 } }), { limit: 0 });
  assert.equal(open, 0, "empty range");
  const exact = (await store.get(KEY, { range: { start: 0, end: 1000 } })).getReader();
  await exact.read();
  assert.equal(open, 0, "last byte");
  const stream = await store.get(KEY);
  assert.equal(open, 1);
  await stream.cancel();
  assert.equal(open, 0, "cancel");
  const abort = new AbortController();
  const aborted = (await store.get(KEY, { signal: abort.signal })).getReader();
  const pending = aborted.read();
  abort.abort(new Error("enough"));
  await assert.rejects(pending, /enough/);
  await store.listFolders(""); // Its last read has ended by now.
  assert.equal(open, 0, "abort");
  rules.push({ kind: "read", code: "EIO", nth: 2 });
  assert.match(
    await failureOf(readAll(await store.get(KEY), { limit: 1_000_000 })),
    /^cannot read .*: its disk fails/,
  );
  assert.equal(open, 0, "error");
});

test("FileStore.get() of a file that got shorter is an error, not a short object", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  await store.put(KEY, pattern(1_000_000, 1));
  const stream = await store.get(KEY);
  fs.truncateSync(join(folder.path, KEY), 400_000);
  assert.match(await failureOf(readAll(stream, { limit: 1_000_000 })), /ends at byte 400000, not at 1000000/);
});

test("FileStore.get() gives NotFoundError where a part of the path is a file", async () => {
  using folder = temporaryFolder();
  fs.writeFileSync(join(folder.path, "generations"), "x");
  await assert.rejects(storeIn(folder.path).get(KEY), NotFoundError);
});

test("FileStore.get() while a put replaces the object gives the earlier one whole", async () => {
  using folder = temporaryFolder();
  const store = storeIn(folder.path);
  await store.put(KEY, pattern(900_000, 1));
  const stream = await store.get(KEY);
  await store.put(KEY, pattern(900_000, 2));
  assert.deepEqual(await readAll(stream, { limit: 900_000 }), pattern(900_000, 1));
});

/** A small file system of its own at `path`; `undefined` where we may not mount one. */
function mountSmall(path: string): Disposable | undefined {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "walbrook-test", path], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  // Lazily: a test that failed with the file still open leaves no mount behind.
  return { [Symbol.dispose]: () => void execFileSync("umount", ["-l", path], { stdio: "ignore" }) };
}

test("FileStore.put() on a full disk says so, leaves nothing and works once there is room", async () => {
  using folder = temporaryFolder();
  const root = join(folder.path, "small");
  fs.mkdirSync(root);
  using mounted = mountSmall(root);
  // Without the right to mount, the same by a disk that is full from the third write on, once.
  const failing = failFiles(systemFiles, [{ kind: "write", code: "ENOSPC", nth: 3 }]);
  const store = storeIn(root, mounted === undefined ? { files: failing.files } : {});
  const big = pattern(400_000, 1);
  const text = await failureOf(store.put(KEY, reusingStream(big, 60_000)));
  assert.match(text, /^cannot write .*: its disk is full; free some space there: /);
  assert.deepEqual(await keysOf(store), []);
  assert.deepEqual(tree(root).filter((name) => name.endsWith(".tmp")), []);
  await store.put(KEY, pattern(100_000, 2));
  if (mounted !== undefined) {
    await assert.rejects(store.put(KEY, reusingStream(big, 60_000)));
  }
  assert.deepEqual(await readAll(await store.get(KEY), { limit: 100_000 }), pattern(100_000, 2));
});

test("systemError() looks like the system's own", () => {
  const error = systemError("ENOSPC", { kind: "write", path: "/x" });
  assert.equal((error as { code?: string }).code, "ENOSPC");
  assert.equal(error.message, "ENOSPC: made to fail, write '/x'");
});

test("FileStore looks at no more files than it is asked about", async () => {
  using folder = temporaryFolder();
  const keys = Array.from(
    { length: 100 },
    (_, index) => segmentKey({ generation: GENERATION, index, offset: 0 }),
  );
  const snapshot = snapshotKey({ generation: GENERATION, index: 0 });
  for (const key of [...keys, snapshot]) await storeIn(folder.path).put(key, pattern(1, 1));
  const looksOf = async (act: (store: FileStore) => Promise<unknown>) => {
    const { files, calls } = recordFiles(systemFiles, { kinds: ["stat", "list"] });
    await act(storeIn(folder.path, { files }));
    const paths = calls.map(({ path }) => path.slice(folder.path.length + 1));
    return paths.filter((path) => path.startsWith(`generations/${GENERATION}/`));
  };
  const snapshots = `generations/${GENERATION}/snapshots`;
  const wal = `generations/${GENERATION}/wal`;
  assert.deepEqual(await looksOf((store) => store.listFolders("generations/")), [snapshots, snapshot]);
  assert.deepEqual(await looksOf((store) => store.listKeys(`${wal}/`)), [wal]);
  assert.deepEqual(
    await looksOf((store) => Array.fromAsync(store.list(`${wal}/`, { after: keys[97]! }))),
    [
      wal,
      ...(await looksOf((store) => Array.fromAsync(store.list(`${wal}/`)))).filter((key) => key > keys[97]!),
    ],
  );
});
