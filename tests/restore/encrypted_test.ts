import { test } from "node:test";
import assert from "node:assert/strict";
import { randomBytes, randomInt } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readAll } from "../../src/bytes.ts";
import type { Cipher } from "../../src/cipher.ts";
import { EncryptionError } from "../../src/errors.ts";
import { listGeneration } from "../../src/restore/inventory.ts";
import { momentsOf } from "../../src/restore/moments.ts";
import { restore } from "../../src/restore/restore.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { ageDecrypt, cipherFor, cipherOf, makeAgeKey } from "../age.ts";
import { RandomWorkload } from "../builders/random_workload.ts";
import { recordFigure } from "../figures.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { Litestream, type LitestreamOptions, litestreamRestoreConfigured } from "../litestream.ts";
import { Bench } from "../replicate/bench_of_one.ts";
import { lz4 } from "../codec/samples.ts";
import { pageDifference } from "./database_pages.ts";

const KEY = makeAgeKey();
const OTHER = makeAgeKey();
const CIPHER = cipherFor(KEY);
const AGE_LINES = [
  "age:",
  "  recipients:",
  `    - ${KEY.recipient}`,
  "  identities:",
  `    - ${KEY.identity}`,
];
const PAGE_SIZE = 4096;

function optionsIn(folder: string, replicaPath: string): LitestreamOptions & { databasePath: string } {
  const databasePath = join(folder, "app.db");
  return {
    configPath: join(folder, "litestream.yml"),
    databasePath,
    databases: [{ databasePath, replicaPath }],
    replicaLines: ["snapshot-interval: 300ms", ...AGE_LINES],
  };
}

async function objectCount(client: ReplicaClient): Promise<number> {
  let count = 0;
  for await (const _ of client.store.list("")) count++;
  return count;
}

test("restore() reads what Litestream encrypted: the newest state, every index, equal to its own", async () => {
  const seed = randomInt(2 ** 31);
  using folder = temporaryFolder();
  const replicaPath = join(folder.path, "replica");
  const options = optionsIn(folder.path, replicaPath);
  const { databasePath } = options;
  const client = new ReplicaClient(new FileStore({ root: replicaPath }), "encrypted", { cipher: CIPHER });
  try {
    using workload = new RandomWorkload({ path: databasePath, seed, pageSize: PAGE_SIZE });
    await using litestream = Litestream.start(options);
    for (let round = 0; round < 10; round++) {
      const before = await objectCount(client);
      for (let step = 0; step < 8; step++) workload.step();
      workload.database.exec(`INSERT OR REPLACE INTO item (id, name) VALUES (1000, 'round ${round}')`);
      await until(async () => await objectCount(client) > before, () => `more objects: ${litestream.log}`);
    }
    await litestream.stop();
    workload.finish();
    const ours = join(folder.path, "ours.db");
    const { segmentCount } = await restore({ clients: [client], outputPath: ours });
    assert.ok(segmentCount > 0);
    assert.equal(pageDifference(ours, databasePath, { pageSize: PAGE_SIZE }), undefined);
    const [generation] = await client.generations();
    const { snapshots, segments } = await listGeneration(client, generation!);
    const indexes = new Set(
      segments.map(({ index }) => index).filter((index) => index >= snapshots[0]!.index),
    );
    assert.ok(indexes.size > 1, "only one index");
    for (const index of indexes) {
      const [left, right] = [join(folder.path, `ours-${index}.db`), join(folder.path, `theirs-${index}.db`)];
      // Litestream may have begun a second generation.
      await restore({ clients: [client], outputPath: left, generation, target: { kind: "index", index } });
      const args = ["-generation", generation!, "-index", index.toString(16).padStart(8, "0")];
      await litestreamRestoreConfigured({ ...options, outputPath: right, args });
      assert.equal(pageDifference(left, right, { pageSize: PAGE_SIZE }), undefined, `index ${index}`);
    }
    recordFigure("cross-restores of encrypted replicas that Litestream wrote", 1 + indexes.size);
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error });
  }
});

test("an encrypted replica of ours is restored by Litestream, and read by age -d and lz4 -d", async () => {
  await using bench = new Bench({ cipher: cipherFor(KEY, OTHER) });
  bench.insert("x".repeat(5 << 20));
  await bench.run();
  await bench.current();
  for (let round = 0; round < 5; round++) {
    bench.insert("y".repeat(round * 3000));
    await bench.current();
    if (round === 2) await bench.restartWal((index) => index > 0);
  }
  await bench.assertRestores();
  const options = optionsIn(bench.folder, bench.replica.path);
  const outputPath = join(bench.folder, "theirs.db");
  await litestreamRestoreConfigured({ ...options, outputPath });
  assert.equal(pageDifference(outputPath, bench.path, { pageSize: PAGE_SIZE }), undefined);
  let count = 0;
  for await (const { key } of bench.replica.files.list("")) {
    const stored = await readAll(await bench.replica.files.get(key), { limit: 1 << 28 });
    const { raw } = await bench.replica.object(key);
    for (const key of [KEY, OTHER]) {
      assert.ok(Buffer.from(lz4(["-d", "-c"], ageDecrypt(stored, key))).equals(raw));
    }
    count++;
  }
  assert.ok(count > 5);
});

test("Litestream goes on with an encrypted replica of ours, and we with that", async () => {
  await using bench = new Bench({ cipher: CIPHER });
  bench.insert();
  await bench.run();
  await bench.current();
  bench.insert();
  await bench.current();
  await bench.stop();
  const { direct } = bench.replica;
  const before = await objectCount(direct);
  {
    await using litestream = Litestream.start(optionsIn(bench.folder, bench.replica.path));
    bench.insert("of Litestream");
    await until(async () => await objectCount(direct) > before, () => `more objects: ${litestream.log}`);
    await litestream.stop();
  }
  await bench.run();
  bench.insert("ours again");
  await bench.current();
  await bench.assertRestores();
});

/** An encrypted and a plain replica of one database. */
async function replicas(): Promise<Bench> {
  const bench = new Bench({ cipher: CIPHER, replicaCount: 2 });
  bench.replicas[1]!.encryptWith(undefined);
  bench.insert();
  await bench.run();
  await bench.current();
  // Stored larger than what is fetched for a note.
  bench.insert(randomBytes(150_000).toString("hex"));
  await bench.current();
  await bench.stop();
  return bench;
}

test("restore() names keys that don't fit, and leaves nothing at the output (case 69)", async () => {
  await using bench = await replicas();
  const [encrypted, plain] = bench.replicas;
  const cases: [FileStore, Cipher | undefined, RegExp][] = [
    [
      encrypted!.files,
      undefined,
      /^generations\/.*: it is encrypted with age, and no identity is configured/,
    ],
    [encrypted!.files, cipherOf({ recipients: [KEY.recipient] }), /and no identity is configured/],
    [
      encrypted!.files,
      cipherFor(OTHER),
      /^generations\/.*: none of the configured age identities can read it/,
    ],
    [plain!.files, CIPHER, /^generations\/.*: it is not encrypted, while age keys are configured/],
  ];
  const outputPath = join(bench.folder, "out", "restored.db");
  for (const [store, cipher, message] of cases) {
    const clients = [new ReplicaClient(store, "replica", { cipher })];
    await assert.rejects(restore({ clients, outputPath }), (error: unknown) => {
      assert.ok(error instanceof EncryptionError, String(error));
      assert.match(error.message, message);
      return true;
    });
    assert.equal(existsSync(outputPath), false);
  }
  const clients = [
    new ReplicaClient(plain!.files, "replica", { cipher: cipherOf({ recipients: [KEY.recipient] }) }),
  ];
  await restore({ clients, outputPath });
});

test("restore() refuses an encrypted replica with a changed bit in any of its objects", async () => {
  await using bench = await replicas();
  const { files, direct } = bench.replica;
  let count = 0;
  for await (const { key, size } of files.list("")) {
    const path = join(bench.replica.path, key);
    const whole = readFileSync(path);
    for (const at of [0, 30, 100, 150, 190, 250, Math.floor(size / 2), size - 1]) {
      const changed = Uint8Array.from(whole);
      changed[at]! ^= 0x10;
      writeFileSync(path, changed);
      const outputPath = join(bench.folder, `restored-${count++}.db`);
      await assert.rejects(restore({ clients: [direct], outputPath }), (error: unknown) => {
        return error instanceof Error && error.message.includes(key);
      });
      assert.equal(existsSync(outputPath), false);
    }
    writeFileSync(path, whole);
  }
  assert.ok(count >= 16);
  await bench.assertRestores();
});

test("restore() counts the stored bytes of encrypted objects, small and large", async () => {
  await using bench = await replicas();
  const { direct } = bench.replica;
  const [generation] = await direct.generations();
  const { snapshots, segments } = await listGeneration(direct, generation!);
  const total = [...snapshots, ...segments].reduce((sum, { size }) => sum + size, 0);
  const seen: { doneBytes: number; totalBytes: number }[] = [];
  const { bytes } = await restore({
    clients: [direct],
    outputPath: join(bench.folder, "restored.db"),
    progress: (progress) => seen.push(progress),
  });
  assert.equal(bytes, total);
  assert.deepEqual(seen.at(-1), { doneBytes: total, totalBytes: total });
});

test("momentsOf() finds the notes of encrypted objects, small and large", async () => {
  await using bench = await replicas();
  const { generation } =
    (await bench.replica.direct.segments((await bench.replica.direct.generations())[0]!))[0]!;
  const momentOf = momentsOf(bench.replica.direct);
  const { snapshots, segments } = await listGeneration(bench.replica.direct, generation);
  assert.ok(segments.length > 0);
  for (const object of [...snapshots, ...segments]) {
    const { note } = await bench.replica.object(object.key);
    const moment = await momentOf(object);
    assert.equal(moment.isNoted, true);
    assert.deepEqual(moment.at, note!.newestCommitAt);
  }
});

test("restore() to a moment works with encrypted objects in another folder, whose file times say nothing", async () => {
  await using bench = new Bench({ cipher: CIPHER });
  bench.insert("before");
  await bench.run();
  await bench.current();
  const at = new Date();
  await until(() => Date.now() > at.getTime() + 2, "the clock to go on");
  bench.insert("after");
  await bench.current();
  await bench.stop();
  const copy = join(bench.folder, "copy");
  for await (const { key } of bench.replica.files.list("")) {
    mkdirSync(join(copy, key, ".."), { recursive: true });
    writeFileSync(join(copy, key), readFileSync(join(bench.replica.path, key)));
  }
  const client = new ReplicaClient(new FileStore({ root: copy }), "copy", { cipher: CIPHER });
  const outputPath = join(bench.folder, "then.db");
  const { momentAt } = await restore({ clients: [client], outputPath, target: { kind: "moment", at } });
  assert.ok(momentAt <= at);
  assert.ok(!readFileSync(outputPath).includes("after"));
  assert.ok(readFileSync(outputPath).includes("before"));
});
