/** `/metrics` and `/health` of the program as it is run. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { type Exposition, lintExposition, parseExposition } from "../serve/exposition.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio, TEST_BUCKET, TEST_KEYS } from "../servers/s3_servers.ts";
import { Walbrook } from "../walbrook.ts";

const minio = oncePerFile(() => startMinio());

/** Name, type and labels as the format's own tool has them. */
const LITESTREAM: readonly [string, "counter" | "gauge", string][] = [
  ["litestream_db_size", "gauge", "db"],
  ["litestream_wal_size", "gauge", "db"],
  ["litestream_total_wal_bytes", "counter", "db"],
  ["litestream_shadow_wal_index", "gauge", "db"],
  ["litestream_shadow_wal_size", "gauge", "db"],
  ["litestream_sync_count", "counter", "db"],
  ["litestream_sync_error_count", "counter", "db"],
  ["litestream_sync_seconds", "counter", "db"],
  ["litestream_checkpoint_count", "counter", "db,mode"],
  ["litestream_checkpoint_error_count", "counter", "db,mode"],
  ["litestream_checkpoint_seconds", "counter", "db,mode"],
  ["litestream_replica_wal_bytes", "counter", "db,name"],
  ["litestream_replica_wal_index", "gauge", "db,name"],
  ["litestream_replica_wal_offset", "gauge", "db,name"],
  ["litestream_replica_validation_total", "counter", "db,name,status"],
  ["litestream_replica_operation_total", "counter", "replica_type,operation"],
  ["litestream_replica_operation_bytes", "counter", "replica_type,operation"],
];

/** A database with a replica in a folder and, with an `endpoint`, one in S3. */
class Ground implements Disposable {
  readonly #folder = temporaryFolder();
  readonly path = join(this.#folder.path, "app.db");
  readonly configPath = join(this.#folder.path, "walbrook.yml");
  readonly replicaPath = join(this.#folder.path, "replica");
  readonly #database = new DatabaseSync(this.path);

  constructor({ top = {}, endpoint }: { top?: Record<string, unknown>; endpoint?: string } = {}) {
    this.#database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x)");
    const paces = { "sync-interval": "50ms", "validation-interval": "500ms" };
    const s3 = { type: "s3", bucket: TEST_BUCKET, path: "metrics", endpoint, region: "us-east-1", ...paces };
    const replicas = [
      { path: this.replicaPath, ...paces },
      ...endpoint === undefined ? [] : [{
        ...s3,
        "access-key-id": TEST_KEYS.accessKeyId,
        "secret-access-key": TEST_KEYS.secretAccessKey,
      }],
    ];
    const dbs = [{ path: this.path, "monitor-interval": "50ms", "checkpoint-interval": "100ms", replicas }];
    const configuration = { addr: "127.0.0.1:0", logging: { stderr: true }, ...top, dbs };
    writeFileSync(this.configPath, JSON.stringify(configuration), { mode: 0o600 });
  }

  insert(): void {
    this.#database.exec("INSERT INTO t VALUES (randomblob(500))");
  }

  [Symbol.dispose](): void {
    this.#database.close();
    this.#folder[Symbol.dispose]();
  }
}

/** Where a running program serves, without a path. */
async function baseOf(walbrook: Walbrook): Promise<string> {
  await walbrook.says("serving metrics on");
  return /url=(\S+)\/metrics/.exec(walbrook.stderr)![1]!;
}

async function scrape(base: string): Promise<Exposition & { text: string }> {
  const response = await fetch(`${base}/metrics`);
  assert.equal(response.status, 200);
  const text = await response.text();
  return { text, ...parseExposition(text) };
}

function seriesOf({ values }: Exposition, name: string): string[] {
  return [...values.keys()].filter((key) => key.startsWith(`${name}{`));
}

test("walbrook replicate serves all metrics of Litestream, with their labels and types (110)", async () => {
  const { endpoint } = await minio();
  using ground = new Ground({ endpoint });
  await using walbrook = Walbrook.start("replicate", "-config", ground.configPath);
  const base = await baseOf(walbrook);
  let shown = await scrape(base);
  await until(async () => {
    ground.insert();
    shown = await scrape(base);
    const isThere = ([name]: (typeof LITESTREAM)[number]) => seriesOf(shown, name).length > 0;
    return LITESTREAM.every(isThere) && shown.text.includes('operation="GET"');
  }, () => `all series:\n${shown.text}`);
  for (const [name, type, labels] of LITESTREAM) {
    assert.equal(shown.types.get(name), type, name);
    for (const series of seriesOf(shown, name)) {
      assert.equal([...series.matchAll(/(\w+)="/g)].map(([, label]) => label).join(), labels, series);
    }
  }
  const value = (series: string) => shown.values.get(series);
  const db = `db="${ground.path}"`;
  for (const name of ["file", "s3"]) {
    assert.equal(value(`litestream_replica_validation_total{${db},name="${name}",status="error"}`), 0);
    assert.ok(value(`litestream_replica_wal_bytes{${db},name="${name}"}`)! > 4096);
    assert.ok(value(`walbrook_replica_last_upload_timestamp_seconds{${db},name="${name}"}`)! > 1.7e9);
    assert.ok(value(`walbrook_replica_snapshot_timestamp_seconds{${db},name="${name}"}`)! > 1.7e9);
  }
  for (const operation of ["LIST", "PUT", "GET"]) {
    assert.ok(value(`litestream_replica_operation_total{replica_type="s3",operation="${operation}"}`)! > 0);
  }
  assert.equal(value(`litestream_replica_operation_bytes{replica_type="s3",operation="LIST"}`), undefined);
  assert.deepEqual(
    seriesOf(shown, "litestream_replica_operation_total").filter((key) => key.includes("file")),
    [],
  );
  assert.deepEqual(lintExposition(shown.text).filter((line) => !line.startsWith("litestream_")), []);
  const health = await fetch(`${base}/health`);
  assert.equal(health.status, 200);
  assert.equal((await health.json() as { healthy: boolean }).healthy, true);
  assert.equal((await walbrook.stop()).code, 0);
});

test("walbrook replicate answers 503 and says so when a replica doesn't advance, and takes it back", async () => {
  using ground = new Ground({ top: { "health-max-stall": "300ms" } });
  await using walbrook = Walbrook.start("replicate", "-config", ground.configPath);
  const base = await baseOf(walbrook);
  await walbrook.says("snapshot written");
  // Nobody can make a folder where a file is.
  rmSync(ground.replicaPath, { recursive: true });
  writeFileSync(ground.replicaPath, "");
  ground.insert();
  const statusOf = async () => {
    const response = await fetch(`${base}/health`);
    await response.body?.cancel();
    return response.status;
  };
  await until(async () => await statusOf() === 503, "health to be lost");
  await walbrook.says("the replica does not advance");
  assert.equal(
    (await scrape(base)).values.get(`walbrook_replica_unhealthy{db="${ground.path}",name="file"}`),
    1,
  );
  await walbrook.says("monitor error");
  rmSync(ground.replicaPath);
  mkdirSync(ground.replicaPath);
  await until(async () => await statusOf() === 200, "health to come back");
  await walbrook.says("the replica advances again");
});

test("walbrook replicate refuses an addr without a port, before anything starts (109)", async () => {
  using ground = new Ground({ top: { addr: "9090" } });
  const { code, stderr } = await Walbrook.run("replicate", "-config", ground.configPath);
  assert.equal(code, 1);
  assert.match(stderr, /^walbrook replicate: must specify port for bind address: "9090"$/m);
  assert.doesNotMatch(stderr, /initialized db/);
});

test("walbrook replicate goes on where its addr is taken", async () => {
  using first = new Ground();
  await using one = Walbrook.start("replicate", "-config", first.configPath);
  const addr = new URL(await baseOf(one)).host;
  using second = new Ground({ top: { addr } });
  await using two = Walbrook.start("replicate", "-config", second.configPath);
  await two.says("cannot start metrics server");
  await two.says("snapshot written");
  assert.equal((await two.stop()).code, 0);
});

test("walbrook replicate says where each replica goes, with the keys of its type", async () => {
  const { endpoint } = await minio();
  using ground = new Ground({ endpoint, top: { logging: { stderr: true, type: "json" } } });
  await using walbrook = Walbrook.start("replicate", "-config", ground.configPath);
  await walbrook.says("replicating to", 2);
  const records = walbrook.lines("replicating to").map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    records.map(({ time: _time, level: _level, msg: _msg, ...fields }) => fields),
    [
      { name: "file", type: "file", "sync-interval": 50_000_000, path: ground.replicaPath },
      {
        name: "s3",
        type: "s3",
        "sync-interval": 50_000_000,
        bucket: TEST_BUCKET,
        path: "metrics",
        region: "us-east-1",
        endpoint,
      },
    ],
  );
});
