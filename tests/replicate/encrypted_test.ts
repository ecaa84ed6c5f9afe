import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readAll } from "../../src/bytes.ts";
import type { Cipher } from "../../src/cipher.ts";
import { isSealed, SEAL_SIZE } from "../../src/codec/sealed.ts";
import { cipherFor, cipherOf, makeAgeKey } from "../age.ts";
import { until } from "../doubles/until.ts";
import { Bench, type TestReplica } from "./bench_of_one.ts";

const KEY = makeAgeKey();
const OTHER = makeAgeKey();
const CIPHER = cipherFor(KEY);
const WRITING = cipherOf({ recipients: [KEY.recipient] });
const READING = cipherOf({ identities: [KEY.identity] });

/** Every object of a replica and its bytes, in hex. */
async function contents({ files }: TestReplica): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const { key } of files.list("")) {
    found.set(key, (await readAll(await files.get(key), { limit: 1 << 28 })).toHex());
  }
  return found;
}

async function assertSealed(replica: TestReplica): Promise<void> {
  let count = 0;
  for await (const { key, size } of replica.files.list("")) {
    assert.ok(size > SEAL_SIZE);
    assert.ok(isSealed(await readAll(await replica.files.get(key), { limit: 1 << 28 })), key);
    count++;
  }
  assert.ok(count > 1, `only ${count} objects`);
}

test("ReplicaLoop encrypts every object, and goes on after a restart where its last segment ends", async () => {
  await using bench = new Bench({ cipher: CIPHER });
  bench.insert();
  await bench.run();
  await bench.current();
  const { generation } = bench;
  for (let round = 0; round < 3; round++) {
    bench.insert();
    await bench.current();
    await bench.stop();
    await bench.run();
  }
  // Larger than what goes as one array.
  bench.insert("x".repeat(3 << 20));
  await bench.current();
  await bench.wholeSegments(generation);
  assert.deepEqual(await bench.replica.direct.generations(), [generation]);
  await assertSealed(bench.replica);
  await bench.assertRestores();
});

test("ReplicaLoop warns at the start of recipients without identities, and replicates a fresh replica", async () => {
  await using bench = new Bench({ cipher: WRITING });
  bench.insert();
  await bench.run();
  await bench.current();
  bench.insert();
  await bench.current();
  const warnings = bench.logs.records.filter(({ level }) => level === "warn");
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!.message, /age recipients without identities.*add age\.identities/);
  await assertSealed(bench.replica);
  bench.replica.encryptWith(CIPHER);
  await bench.assertRestores();
});

test("ReplicaLoop without identities goes on after a restart from what it remembers of its uploads", async () => {
  await using bench = new Bench({ cipher: WRITING });
  bench.insert();
  await bench.run();
  await bench.current();
  const { generation } = bench;
  for (let round = 0; round < 3; round++) {
    bench.insert();
    await bench.current();
    await bench.stop();
    bench.insert("while nobody looks");
    await bench.run();
  }
  await bench.current();
  assert.equal(bench.loop.lastError, "");
  bench.replica.encryptWith(CIPHER);
  assert.deepEqual(await bench.replica.direct.generations(), [generation]);
  await bench.wholeSegments(generation);
  await bench.assertRestores();
});

/** What can have become of the memory or the replica meanwhile. */
const UNKNOWN_ENDS: Readonly<Record<string, (bench: Bench) => Promise<void> | void>> = {
  "without a memory": (bench) => rmSync(memoryPath(bench)),
  "with a broken memory": (bench) => truncateSync(memoryPath(bench), 20),
  "with another size of the newest segment": async (bench) => {
    const { direct, path } = bench.replica;
    const [generation] = await direct.generations();
    const newest = (await direct.segments(generation!)).at(-1)!;
    truncateSync(join(path, newest.key), newest.size - 1);
  },
  "with a memory of another history": (bench) => {
    const path = memoryPath(bench);
    const memory = JSON.parse(readFileSync(path, "utf8")) as { checksum: number[] };
    writeFileSync(path, JSON.stringify({ ...memory, checksum: [1, 2] }));
  },
};

function memoryPath({ folder }: Bench): string {
  return join(folder, ".app.db-litestream", "walbrook-uploads", "replica-0.json");
}

for (const [name, spoil] of Object.entries(UNKNOWN_ENDS)) {
  test(`ReplicaLoop without identities starts a generation, and says why, ${name}`, async () => {
    await using bench = new Bench({ cipher: WRITING });
    bench.insert();
    await bench.run();
    await bench.current();
    bench.insert();
    await bench.current();
    const { generation } = bench;
    await bench.stop();
    await spoil(bench);
    await bench.run();
    await until(
      () => bench.database.position !== undefined && bench.generation !== generation,
      "a generation",
    );
    await bench.current();
    assert.equal(bench.logged("sync: a replica can't go on, a new generation starts"), 1);
    bench.replica.encryptWith(CIPHER);
    await bench.assertRestores();
  });
}

test("ReplicaLoop without identities stores a segment again whose answer got lost", async () => {
  await using bench = new Bench({ cipher: WRITING });
  bench.insert();
  await bench.run();
  await bench.current();
  const { generation } = bench;
  for (let round = 0; round < 3; round++) {
    bench.store.rules = [{ method: "put", afterwards: true }];
    bench.insert();
    await until(() => bench.loop.lastError !== "", "the lost answer");
    bench.insert("more than was in the upload");
    await bench.current();
  }
  assert.equal(bench.generation, generation);
  bench.replica.encryptWith(CIPHER);
  await bench.wholeSegments(generation);
  await bench.assertRestores();
});

test("ReplicaLoop with identities alone stores nothing, and says what to add", async () => {
  await using bench = new Bench({ cipher: READING });
  bench.insert();
  await bench.run();
  await until(() => bench.loop.lastError !== "", "an error");
  assert.match(bench.loop.lastError, /add age\.recipients/);
  assert.equal((await contents(bench.replica)).size, 0);
  await assert.rejects(bench.stop(200));
});

/** What stands in the replica, with which keys the program comes back, and what it says. */
const MISMATCHES: Readonly<Record<string, [Cipher | undefined, Cipher | undefined, RegExp]>> = {
  "no keys for an encrypted replica": [
    CIPHER,
    undefined,
    /encrypted with age, and no identity is configured/,
  ],
  "another identity": [CIPHER, cipherFor(OTHER), /none of the configured age identities can read it/],
  "keys for a plain replica": [undefined, CIPHER, /not encrypted, while age keys are configured/],
  "recipients for a plain replica": [undefined, WRITING, /not encrypted, while age keys are configured/],
};

for (const [name, [before, after, message]] of Object.entries(MISMATCHES)) {
  test(`ReplicaLoop: ${name}: it says so and leaves every object as it is`, async () => {
    await using bench = new Bench(before === undefined ? {} : { cipher: before });
    bench.insert();
    await bench.run();
    await bench.current();
    bench.insert();
    await bench.current();
    await bench.stop();
    const stored = await contents(bench.replica);
    bench.replica.encryptWith(after);
    await bench.run();
    bench.insert();
    await until(() => bench.loop.lastError !== "", "an error");
    assert.match(bench.loop.lastError, message);
    assert.match(bench.loop.lastError, /^cannot determine replica position: generations\/.*\.wal\.lz4: /);
    await assert.rejects(bench.stop(300), message);
    assert.deepEqual(await contents(bench.replica), stored);
    bench.replica.encryptWith(before);
    await bench.run();
    await bench.current();
    await bench.assertRestores();
  });
}

test("ReplicaLoop doesn't add to a snapshot alone that is encrypted otherwise", async () => {
  const cases: [Cipher | undefined, Cipher | undefined][] = [[CIPHER, undefined], [undefined, CIPHER], [
    undefined,
    WRITING,
  ]];
  for (const [before, after] of cases) {
    await using bench = new Bench(before === undefined ? {} : { cipher: before });
    bench.insert();
    await bench.run();
    await bench.current();
    const { generation } = bench;
    await bench.stop();
    const segments = await bench.replica.direct.segments(generation);
    await bench.replica.files.delete(segments.map(({ key }) => key));
    bench.replica.encryptWith(after);
    await bench.run();
    bench.insert();
    await until(() => bench.loop.lastError !== "", "an error");
    assert.match(bench.loop.lastError, /\.snapshot\.lz4: it is (not )?encrypted/);
    assert.deepEqual(await bench.replica.direct.segments(generation), []);
    await assert.rejects(bench.stop(200));
  }
});
