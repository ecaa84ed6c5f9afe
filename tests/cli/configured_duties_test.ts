/** Keys of the configuration file whose work can be seen from outside. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { Walbrook } from "../walbrook.ts";

/** A database with one replica, as a configuration file describes them. */
class Ground implements Disposable {
  readonly #folder = temporaryFolder();
  readonly database = this.path("app.db");
  readonly replica = this.path("backup");

  path(...parts: string[]): string {
    return join(this.#folder.path, ...parts);
  }

  open(rows = 1): DatabaseSync {
    const database = new DatabaseSync(this.database, { timeout: 5000 });
    database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x)");
    for (let row = 0; row < rows; row++) database.exec("INSERT INTO t VALUES (randomblob(3000))");
    return database;
  }

  /** Replicate with these lines for the database and the replica. */
  start({ databaseLine = "", replicaLine = "" }: { databaseLine?: string; replicaLine?: string }): Walbrook {
    const config = this.path("walbrook.yml");
    writeFileSync(
      config,
      `logging: { stderr: true }
dbs:
  - path: "${this.database}"
    ${databaseLine}
    replicas:
      - path: "${this.replica}"
        ${replicaLine}
`,
    );
    return Walbrook.start("replicate", "-config", config);
  }

  /** Names of the objects of a kind, over all generations. */
  objects(kind: "snapshots" | "wal"): string[] {
    if (!existsSync(this.replica)) return [];
    const names = readdirSync(this.replica, { recursive: true }).map(String);
    return names.filter((name) => name.includes(`/${kind}/`) && name.endsWith(".lz4")).sort();
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

test("meta-path is where walbrook keeps its own files", async () => {
  using ground = new Ground();
  using _ = ground.open();
  await using walbrook = ground.start({ databaseLine: `meta-path: "${ground.path("ours")}"` });
  await walbrook.says("snapshot written");
  assert.ok(existsSync(ground.path("ours", "generation")));
  assert.ok(!existsSync(ground.path(".app.db-litestream")));
});

test("must-exist keeps a replica from being made where nothing is mounted", async () => {
  using ground = new Ground();
  using _ = ground.open();
  await using walbrook = ground.start({ replicaLine: "must-exist: true" });
  await walbrook.says("monitor error");
  assert.ok(!existsSync(ground.replica));
  mkdirSync(ground.replica);
  await walbrook.says("snapshot written");
});

test("snapshot-interval makes snapshots, and retention removes the older ones", async () => {
  using ground = new Ground();
  using database = ground.open();
  await using walbrook = ground.start({
    replicaLine: [
      "snapshot-interval: 50ms",
      "retention: 300ms",
      "retention-check-interval: 50ms",
      "sync-interval: 20ms",
    ].join("\n        "),
  });
  await walbrook.says("snapshot written");
  const [first] = ground.objects("snapshots");
  await until(() => {
    database.exec("INSERT INTO t VALUES (1)");
    const names = ground.objects("snapshots");
    return names.length > 0 && !names.includes(first!);
  }, () => `the first snapshot to go; it said:\n${walbrook.stderr}`);
  await walbrook.says("snapshot deleted");
});

test("validation-interval restores and compares", async () => {
  using ground = new Ground();
  using _ = ground.open();
  await using walbrook = ground.start({ replicaLine: "validation-interval: 50ms" });
  await walbrook.says("status=ok db-checksum=");
});

test("sync-interval is the shortest time between two uploads", async () => {
  using ground = new Ground();
  using database = ground.open();
  await using walbrook = ground.start({ replicaLine: "sync-interval: 1h" });
  await walbrook.says("snapshot written");
  const before = ground.objects("wal");
  for (let row = 0; row < 20; row++) {
    database.exec("INSERT INTO t VALUES (1)");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { code, stderr } = await walbrook.stop();
  assert.equal(code, 0, stderr);
  // One at the end, and one for a change that came before the first upload.
  assert.ok(ground.objects("wal").length <= before.length + 2, ground.objects("wal").join(" "));
});

test("upload-bandwidth makes a snapshot take its time", async () => {
  using ground = new Ground();
  using _ = ground.open(60);
  await using walbrook = ground.start({ replicaLine: "upload-bandwidth: 100k" });
  await walbrook.says("snapshot written");
  // 180 kB that can't be compressed, twice: as WAL and as snapshot.
  const [, elapsed] = /msg="snapshot written".* elapsed=(\S+)/.exec(walbrook.stderr)!;
  assert.match(elapsed!, /^\d+(\.\d+)?s$/, "more than a second");
});

test("checkpoint-interval and the page counts decide when to checkpoint", async () => {
  const cases = ["checkpoint-interval: 50ms", "min-checkpoint-page-count: 5"];
  for (const databaseLine of cases) {
    using ground = new Ground();
    using database = ground.open();
    database.exec("PRAGMA wal_autocheckpoint = 0");
    await using walbrook = ground.start({ databaseLine });
    await walbrook.says("snapshot written");
    const [first] = ground.objects("wal");
    // The index grows each time the WAL was checkpointed and begins anew.
    await until(() => {
      database.exec("INSERT INTO t VALUES (randomblob(3000))");
      return ground.objects("wal").some((name) => !sameIndex(name, first!));
    }, () => `another index with ${databaseLine}; it said:\n${walbrook.stderr}`);
  }
});

function sameIndex(left: string, right: string): boolean {
  const indexOf = (name: string) => /wal\/([0-9a-f]{8})_/.exec(name)?.[1];
  return indexOf(left) === indexOf(right);
}
