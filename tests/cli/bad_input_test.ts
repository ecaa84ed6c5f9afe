/** Everything that can be wrong from outside: one line that says what, where and what to do; nothing half-done. */
import { after, test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { type Ending, Walbrook } from "../walbrook.ts";

/** A folder with a small database `app.db` in WAL mode and a replica of it in `replica`. */
class Ground implements Disposable {
  readonly #folder = temporaryFolder();
  readonly #mounts: string[] = [];
  readonly #connections: DatabaseSync[] = [];
  readonly database = this.path("app.db");
  readonly replica = this.path("replica");

  path(...parts: string[]): string {
    return join(this.#folder.path, ...parts);
  }

  /** Make a database with one row, and keep a connection to it. */
  open(path = this.database): DatabaseSync {
    const connection = new DatabaseSync(path, { timeout: 5000 });
    this.#connections.push(connection);
    connection.exec(
      "PRAGMA journal_mode = wal; CREATE TABLE IF NOT EXISTS t (body TEXT); INSERT INTO t VALUES ('one')",
    );
    return connection;
  }

  /** The same, without a connection that stays. */
  make(path = this.database): void {
    this.open(path);
    this.#connections.pop()!.close();
  }

  /** A file system of its own, of `kib` KiB. */
  mount(name: string, kib: number): string {
    const path = this.path(name);
    mkdirSync(path);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kib}k`, "tmpfs", path]);
    this.#mounts.push(path);
    return path;
  }

  /** Every name below, as a sorted list. */
  names(): string[] {
    return readdirSync(this.#folder.path, { recursive: true }).map(String).sort();
  }

  [Symbol.dispose](): void {
    for (const connection of this.#connections) connection.close();
    for (const mount of this.#mounts) execFileSync("umount", ["-l", mount]);
    this.#folder[Symbol.dispose]();
  }
}

/** Whether we may mount; the tests that need it fail elsewhere, with this to say. */
function requireRoot(): void {
  assert.equal(process.getuid?.(), 0, "this test mounts a file system: run the tests as root");
}

/** What isn't the ordinary telling of a start. */
function complaints({ stderr }: Pick<Ending, "stderr">): string[] {
  return stderr.split("\n").filter((line) => line !== "" && !/ (INFO|WARN) /.test(line));
}

/** Run to the end; it has to fail with one line that matches. */
async function assertRefused(args: string[], pattern: RegExp): Promise<void> {
  await using walbrook = Walbrook.start(...args);
  const timer = setTimeout(() => walbrook.signal("SIGKILL"), 20_000);
  const ending = await walbrook.ended;
  clearTimeout(timer);
  assert.equal(ending.code, 1, ending.stderr);
  const [line, ...more] = complaints(ending);
  assert.deepEqual(more, []);
  assert.match(line ?? "", pattern);
}

interface Refusal {
  readonly name: string;
  readonly prepare: (ground: Ground) => string[];
  readonly pattern: RegExp;
}

const REPLICATE_REFUSALS: readonly Refusal[] = [
  {
    name: "a text file",
    prepare(ground) {
      writeFileSync(ground.database, "This is no database. ".repeat(100));
      return [ground.database, ground.replica];
    },
    pattern: /^walbrook replicate: \S+app\.db is not a SQLite database, or it is encrypted/,
  },
  {
    name: "an encrypted database",
    prepare(ground) {
      writeFileSync(ground.database, crypto.getRandomValues(new Uint8Array(8192)));
      return [ground.database, ground.replica];
    },
    pattern: /app\.db is not a SQLite database, or it is encrypted as a whole: walbrook can't replicate it$/,
  },
  {
    name: "a database whose pages are encrypted behind a plain header",
    prepare(ground) {
      const bytes = crypto.getRandomValues(new Uint8Array(8192));
      bytes.set(new TextEncoder().encode("SQLite format 3\0"));
      writeFileSync(ground.database, bytes);
      return [ground.database, ground.replica];
    },
    pattern: /app\.db is not a SQLite database, or it is encrypted: walbrook can't replicate it/,
  },
  {
    name: "a folder",
    prepare(ground) {
      mkdirSync(ground.database);
      return [ground.database, ground.replica];
    },
    pattern: /app\.db is not a file: give the path of a SQLite database$/,
  },
  {
    name: "a -wal that can't be opened",
    prepare(ground) {
      ground.make();
      mkdirSync(`${ground.database}-wal`);
      return [ground.database, ground.replica];
    },
    pattern: /cannot open \S+app\.db with its -wal and -shm: walbrook must be able to read and write them/,
  },
  {
    name: "no replica",
    prepare: ({ database }) => [database],
    pattern: /must specify at least one replica URL for \S+app\.db$/,
  },
  {
    name: "an unknown scheme",
    prepare: ({ database }) => [database, "ftp://host/app"],
    pattern: /unknown replica type "ftp" in ftp:\/\/host\/app; .*give a path, a file:\/\/ or an s3:\/\/ URL$/,
  },
  {
    name: "one replica given twice",
    prepare: ({ database, replica }) => [database, replica, `file://${replica}/`],
    pattern: /replica \S+replica is given twice: give each replica a place of its own$/,
  },
  {
    name: "a replica in the meta directory",
    prepare: ({ database }) => [database, join(dirname(database), ".app.db-litestream")],
    pattern:
      /replica \S+ lies in \S+\/\.app\.db-litestream, where walbrook cleans up: give the replica a folder elsewhere$/,
  },
  {
    name: "a replica below the meta directory",
    prepare: ({ database }) => [database, join(dirname(database), ".app.db-litestream", "replica")],
    pattern: /replica \S+ lies in \S+\/\.app\.db-litestream, where walbrook cleans up/,
  },
  {
    name: "a replica in the generations of another one",
    prepare: ({ database, replica }) => [database, replica, join(replica, "generations", "x")],
    pattern: /replica \S+\/generations\/x lies in \S+replica\/generations, where walbrook cleans up/,
  },
  {
    name: "the database as its replica",
    prepare: ({ database }) => [database, database],
    pattern: /replica \S+app\.db is the database itself: give the replica a folder elsewhere$/,
  },
];

for (const { name, prepare, pattern } of REPLICATE_REFUSALS) {
  test(`walbrook replicate refuses ${name}`, async () => {
    using ground = new Ground();
    const args = prepare(ground);
    const before = ground.names();
    await assertRefused(["replicate", ...args], pattern);
    const isMeta = (path: string) => path.startsWith(".app.db-litestream");
    assert.deepEqual(ground.names().filter((path) => !isMeta(path)), before);
  });
}

test("walbrook replicate refuses a database on a read-only file system", async () => {
  requireRoot();
  using ground = new Ground();
  const disk = ground.mount("disk", 512);
  ground.make(join(disk, "app.db"));
  execFileSync("mount", ["-o", "remount,ro", disk]);
  await assertRefused(
    ["replicate", join(disk, "app.db"), ground.replica],
    /cannot write to \S+disk\/app\.db: mount its file system for writing/,
  );
  assert.equal(existsSync(ground.replica), false);
});

test("walbrook replicate refuses a database that another walbrook replicates", async () => {
  using ground = new Ground();
  ground.open();
  await using first = Walbrook.start("replicate", ground.database, ground.replica);
  await first.says("snapshot written");
  await assertRefused(
    ["replicate", ground.database, ground.path("other")],
    /app\.db is replicated by another walbrook already: stop that one first/,
  );
  assert.equal(existsSync(ground.path("other")), false);
  const { code, stderr } = await first.stop();
  assert.equal(code, 0, stderr);
});

test("walbrook replicate waits for a database that isn't there yet, and says so once", async () => {
  using ground = new Ground();
  await using walbrook = Walbrook.start("replicate", ground.database, ground.replica);
  await walbrook.says("waiting for the database");
  assert.deepEqual(ground.names(), []);
  // An application makes an empty file first.
  writeFileSync(ground.database, "");
  await walbrook.says("its application has not created it yet");
  ground.open();
  await walbrook.says("snapshot written");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  assert.equal(walbrook.lines("does not exist yet").length, 1);
  await assertRestores(ground);
});

/** Restore, and find the rows of the live database in what comes out. */
async function assertRestores(ground: Ground, database = ground.database, replica = ground.replica) {
  const output = ground.path(`restored-${crypto.randomUUID()}.db`);
  const { code, stderr } = await Walbrook.run("restore", "-o", output, replica);
  assert.equal(code, 0, stderr);
  using live = new DatabaseSync(database);
  using restored = new DatabaseSync(output);
  const rows = (connection: DatabaseSync) => connection.prepare("SELECT * FROM t").all();
  assert.deepEqual(rows(restored), rows(live));
}

test("walbrook replicate waits while the database's disk is full", async () => {
  requireRoot();
  using ground = new Ground();
  const disk = ground.mount("disk", 512);
  const database = join(disk, "app.db");
  ground.make(database);
  fill(join(disk, "fill"));
  await using walbrook = Walbrook.start("replicate", database, ground.replica);
  await walbrook.says("waiting for the database");
  assert.match(walbrook.lines("waiting for the database")[0]!, /is full/);
  assert.equal(existsSync(ground.replica), false);
  rmSync(join(disk, "fill"));
  await walbrook.says("snapshot written");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  assert.deepEqual(complaints({ stderr }), []);
  await assertRestores(ground, database);
});

/** Write until nothing more goes in. */
function fill(path: string): void {
  const { bavail, bsize } = statfsSync(dirname(path));
  writeFileSync(path, new Uint8Array(bavail * bsize));
}

test("walbrook replicate makes the replica's folder and what is above it", async () => {
  using ground = new Ground();
  ground.open();
  const replica = ground.path("not", "there", "yet");
  await using walbrook = Walbrook.start("replicate", ground.database, replica);
  await walbrook.says("snapshot written");
  assert.equal((await walbrook.stop()).code, 0);
  await assertRestores(ground, ground.database, replica);
});

interface Mendable {
  readonly name: string;
  /** Breaks the replica's place; returns how to mend it. */
  readonly spoil: (ground: Ground) => { replica: string; mend: () => void };
  readonly pattern: RegExp;
}

const MENDABLE_REPLICAS: readonly Mendable[] = [
  {
    name: "a file in its place",
    spoil(ground) {
      writeFileSync(ground.replica, "a file");
      return { replica: ground.replica, mend: () => rmSync(ground.replica) };
    },
    pattern: /replica path \S+replica is not a folder; move it away or give the replica a folder/,
  },
  {
    name: "a read-only file system",
    spoil(ground) {
      requireRoot();
      const disk = ground.mount("disk", 4096);
      execFileSync("mount", ["-o", "remount,ro", disk]);
      const mend = () => void execFileSync("mount", ["-o", "remount,rw", disk]);
      return { replica: join(disk, "replica"), mend };
    },
    pattern: /its file system is mounted read-only; mount it for writing/,
  },
  {
    name: "a full disk",
    spoil(ground) {
      requireRoot();
      const disk = ground.mount("disk", 4096);
      fill(join(disk, "fill"));
      return { replica: join(disk, "replica"), mend: () => rmSync(join(disk, "fill")) };
    },
    pattern: /its disk is full; free some space there/,
  },
];

for (const { name, spoil, pattern } of MENDABLE_REPLICAS) {
  test(`walbrook replicate stays up with a replica on ${name}, and catches up when it is mended`, async () => {
    using ground = new Ground();
    const application = ground.open();
    const { replica, mend } = spoil(ground);
    await using walbrook = Walbrook.start("replicate", ground.database, replica);
    await walbrook.says(" ERROR ");
    application.exec("INSERT INTO t VALUES ('while it was broken')");
    assert.match(walbrook.lines(" ERROR ")[0]!, pattern);
    assert.ok(walbrook.isRunning);
    mend();
    await walbrook.says("snapshot written");
    application.exec("INSERT INTO t VALUES ('after')");
    const { code, stderr } = await walbrook.stop();
    assert.equal(code, 0, stderr);
    assert.equal(complaints({ stderr }).length, 1, stderr);
    assert.equal(walbrook.lines("replica works again").length, 1, stderr);
    await assertRestores(ground, ground.database, replica);
  });
}

test("walbrook replicate catches up after the replica's disk was full in the middle", async () => {
  requireRoot();
  using ground = new Ground();
  const application = ground.open();
  const disk = ground.mount("disk", 4096);
  await using walbrook = Walbrook.start("replicate", ground.database, join(disk, "replica"));
  await walbrook.says("snapshot written");
  fill(join(disk, "fill"));
  for (let row = 0; row < 20; row++) application.exec(`INSERT INTO t VALUES (hex(randomblob(2000)))`);
  await walbrook.says("monitor error");
  assert.match(walbrook.lines("monitor error")[0]!, /disk is full; free some space there/);
  const halves = readdirSync(disk, { recursive: true }).map(String).filter((path) => path.endsWith(".tmp"));
  assert.deepEqual(halves, []);
  rmSync(join(disk, "fill"));
  await walbrook.says("replica works again");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  assert.equal(walbrook.lines("monitor error").length, 1);
  await assertRestores(ground, ground.database, join(disk, "replica"));
});

for (const name of ["SIGTERM", "SIGINT"] as const) {
  test(`walbrook replicate sends what is left at ${name} and ends with 0 within two seconds`, async () => {
    using ground = new Ground();
    const application = ground.open();
    await using walbrook = Walbrook.start("replicate", ground.database, ground.replica);
    await walbrook.says("snapshot written");
    // More than one within the sync interval, so that something is left.
    for (let row = 0; row < 50; row++) application.exec(`INSERT INTO t VALUES ('row ${row}')`);
    const startedAt = performance.now();
    walbrook.signal(name);
    const { code, stderr } = await walbrook.ended;
    const elapsedMs = performance.now() - startedAt;
    assert.equal(code, 0, stderr);
    assert.ok(elapsedMs < 2000, `${elapsedMs} ms`);
    assert.deepEqual(complaints({ stderr }), []);
    await assertRestores(ground);
  });
}

test("walbrook replicate ends with 1 and says why when the last commits can't be sent; a second signal ends at once", async () => {
  using ground = new Ground();
  const application = ground.open();
  await using walbrook = Walbrook.start("replicate", ground.database, ground.replica);
  await walbrook.says("snapshot written");
  rmSync(ground.replica, { recursive: true });
  writeFileSync(ground.replica, "a file");
  application.exec("INSERT INTO t VALUES ('lost')");
  await walbrook.says("monitor error");
  walbrook.signal("SIGTERM");
  await walbrook.says("shutting down");
  const startedAt = performance.now();
  const ending = await walbrook.ended;
  assert.equal(ending.code, 1, ending.stderr);
  const last = complaints(ending).at(-1)!;
  assert.match(last, /failed to run .*app\.db: the last commits are not in file: .* is not a folder/);
  assert.equal(walbrook.lines("failed to run").length, 1);
  const [closing, ...others] = walbrook.lines("error closing db");
  assert.match(closing!, /error closing db db=\S+app\.db error=.*is not a folder/);
  assert.equal(others.length, 0);
  assert.ok(performance.now() - startedAt < 10_000, "container runtimes kill after ten seconds");

  await using second = Walbrook.start("replicate", ground.database, ground.replica);
  await second.says(" ERROR ");
  second.signal("SIGTERM");
  await second.says("shutting down");
  const signalledAt = performance.now();
  second.signal("SIGTERM");
  assert.equal((await second.ended).code, 1);
  assert.ok(performance.now() - signalledAt < 1000);
});

let sharedGround: Promise<Ground> | undefined;

after(async () => (await sharedGround)?.[Symbol.dispose]());

/** A database with a replica, made once for all tests that change nothing. */
function replicatedGround(): Promise<Ground> {
  return sharedGround ??= replicated();
}

async function replicated(): Promise<Ground> {
  const ground = new Ground();
  const application = ground.open();
  await using walbrook = Walbrook.start("replicate", ground.database, ground.replica);
  await walbrook.says("snapshot written");
  application.exec("INSERT INTO t VALUES ('two')");
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  return ground;
}

/** A copy of the replica in which the first object of this kind is changed. */
function damagedReplica(ground: Ground, ending: string, change: (bytes: Uint8Array) => Uint8Array): string {
  const replica = ground.path(`damaged-${crypto.randomUUID()}`);
  cpSync(ground.replica, replica, { recursive: true });
  const name = readdirSync(replica, { recursive: true }).map(String).sort()
    .find((path) => path.endsWith(ending))!;
  const path = join(replica, name);
  writeFileSync(path, change(new Uint8Array(readFileSync(path))));
  return replica;
}

const RESTORE_REFUSALS: readonly Refusal[] = [
  {
    name: "a snapshot that is cut short",
    prepare: (ground) => [
      "-o",
      ground.path("out.db"),
      damagedReplica(ground, ".snapshot.lz4", (bytes) => bytes.subarray(0, bytes.length - 9)),
    ],
    pattern: /^walbrook restore: .*generations\/[0-9a-f]{16}\/snapshots\/[0-9a-f]{8}\.snapshot\.lz4/,
  },
  {
    name: "a segment with one changed bit",
    prepare: (ground) => [
      "-o",
      ground.path("out.db"),
      damagedReplica(ground, ".wal.lz4", (bytes) => bytes.with(bytes.length - 30, bytes.at(-30)! ^ 1)),
    ],
    pattern: /^walbrook restore: .*generations\/[0-9a-f]{16}\/wal\/[0-9a-f]{8}_[0-9a-f]{8}\.wal\.lz4/,
  },
  {
    name: "an output that exists",
    prepare: ({ database, replica }) => ["-o", database, replica],
    pattern: /^walbrook restore: cannot restore, output path already exists: \S+app\.db/,
  },
  {
    name: "an output below a file",
    prepare: (ground) => ["-o", join(ground.database, "sub", "out.db"), ground.replica],
    pattern: /^walbrook restore: .*app\.db/,
  },
  {
    name: "an unknown scheme",
    prepare: (ground) => ["-o", ground.path("out.db"), "ftp://host/app"],
    pattern: /unknown replica type "ftp" in ftp:\/\/host\/app/,
  },
  {
    name: "an index beyond the end",
    prepare: (ground) => ["-o", ground.path("out.db"), "-index", "00ffffff", ground.replica],
    pattern: /unable to locate index 16777215 .*: the last one is -index [0-9a-f]{8}$/,
  },
  {
    name: "an index that is no number",
    prepare: (ground) => ["-o", ground.path("out.db"), "-index", "xyz", ground.replica],
    pattern: /index/,
  },
  {
    name: "a timestamp before the first snapshot",
    prepare: (ground) => ["-o", ground.path("out.db"), "-timestamp", "2001-01-01T00:00:00Z", ground.replica],
    pattern: /^walbrook restore: /,
  },
  {
    name: "a timestamp that is none",
    prepare: (ground) => ["-o", ground.path("out.db"), "-timestamp", "yesterday", ground.replica],
    pattern: /timestamp/,
  },
  {
    name: "a replica's folder without -o",
    prepare: (ground) => [ground.replica],
    pattern: /^walbrook restore: \S+replica is a folder, no database: say with -o where to restore to$/,
  },
  {
    name: "a file as a replica",
    prepare: (ground) => ["-o", ground.path("out.db"), ground.database],
    pattern: /^walbrook restore: \S+app\.db is no folder of a replica, and no configuration file .* is there/,
  },
  {
    name: "a replica that isn't there",
    prepare: (ground) => ["-o", ground.path("out.db"), ground.path("nowhere")],
    pattern:
      /no matching backups found in \S+nowhere: look at what is given, and with "walbrook generations"$/,
  },
];

for (const { name, prepare, pattern } of RESTORE_REFUSALS) {
  test(`walbrook restore refuses ${name}`, async () => {
    const ground = await replicatedGround();
    const args = prepare(ground);
    const before = ground.names();
    await assertRefused(["restore", ...args], pattern);
    assert.deepEqual(ground.names(), before);
  });
}

test("walbrook restore makes the folders above its output", async () => {
  const { replica } = await replicatedGround();
  using ground = new Ground();
  const output = ground.path("not", "there", "out.db");
  const { code, stderr } = await Walbrook.run("restore", "-o", output, replica);
  assert.equal(code, 0, stderr);
  assert.ok(readFileSync(output).length > 0);
});

test("walbrook restore leaves nothing on a disk that is too small", async () => {
  requireRoot();
  const { replica } = await replicatedGround();
  using ground = new Ground();
  const disk = ground.mount("disk", 64);
  fill(join(disk, "fill"));
  await assertRefused(
    ["restore", "-o", join(disk, "out.db"), replica],
    /^walbrook restore: .*only 0 are free in \S+disk: make room or restore elsewhere$/,
  );
  assert.deepEqual(readdirSync(disk), ["fill"]);
});

test("walbrook restore refuses a folder that it may not write to", async () => {
  const { replica } = await replicatedGround();
  using ground = new Ground();
  const folder = ground.path("locked");
  mkdirSync(folder);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    execFileSync("mount", ["-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", folder]);
  } else chmodSync(folder, 0o500);
  try {
    await assertRefused(["restore", "-o", join(folder, "out.db"), replica], /cannot .*locked/);
  } finally {
    if (isRoot) execFileSync("umount", ["-l", folder]);
  }
});
