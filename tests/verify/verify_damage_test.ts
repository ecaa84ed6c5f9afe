import { test } from "node:test";
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { randomInt } from "node:crypto";
import { join } from "node:path";
import type { Cipher } from "../../src/cipher.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import type { VerifyReport } from "../../src/verify/report.ts";
import { verifyReplica } from "../../src/verify/verify.ts";
import { ageDecrypt, cipherFor, makeAgeKey } from "../age.ts";
import { RandomWorkload } from "../builders/random_workload.ts";
import { buildReplica } from "../builders/replica_builder.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { recordFigure } from "../figures.ts";
import { Litestream } from "../litestream.ts";
import { BruteForce, type BrutePoint, LATEST, SNAPSHOT_ALONE } from "./brute_force.ts";

/** An object by its path in the generation's folder. */
interface StoredObject extends BrutePoint {
  readonly name: string;
}

/** What became of the cases. */
interface Tally {
  cases: number;
  /** Cases in which some state is no longer restored as it was. */
  changed: number;
  /** Of those, the ones that nothing in the format can show. */
  unprovable: number;
}

/** A replica that is damaged and healed again, judged by brute force. */
class Patient {
  readonly #healthy: string;
  readonly #generation: string;
  readonly #brute: BruteForce;
  readonly #client: ReplicaClient;
  readonly #path: string;
  readonly #isDeep: boolean;
  readonly objects: readonly StoredObject[];
  readonly #states: readonly { readonly point: BrutePoint; readonly state: string | undefined }[];
  readonly tally: Tally = { cases: 0, changed: 0, unprovable: 0 };

  constructor(root: string, { folder, isDeep = false, cipher, decrypt }: {
    folder: string;
    isDeep?: boolean;
    cipher?: Cipher;
    decrypt?: (stored: Uint8Array) => Uint8Array;
  }) {
    const copy = join(folder, "broken");
    cpSync(root, copy, { recursive: true, preserveTimestamps: true });
    this.#generation = readdirSync(join(root, "generations"))[0]!;
    this.#healthy = join(root, "generations", this.#generation);
    this.#path = join(copy, "generations", this.#generation);
    this.#brute = new BruteForce(join(folder, "scratch"), decrypt);
    this.#client = new ReplicaClient(new FileStore({ root: copy }), "broken", cipher && { cipher });
    this.#isDeep = isDeep;
    this.objects = objectsIn(this.#healthy);
    this.#states = [...this.objects, LATEST]
      .map((point) => ({ point, state: this.#brute.state(this.#path, point) }))
      .filter(({ state }) => state !== undefined);
    assert.equal(this.#states.at(-1)?.point, LATEST, "the brute force can't restore what is healthy");
  }

  path(name: string): string {
    return join(this.#path, name);
  }

  key(name: string): string {
    return `generations/${this.#generation}/${name}`;
  }

  bytes(name: string): Uint8Array {
    return new Uint8Array(readFileSync(join(this.#healthy, name)));
  }

  /** The deep look is slow: only for what the other one doesn't find. */
  async verify({ isSuspect }: { isSuspect: boolean }): Promise<VerifyReport> {
    const report = await verifyReplica(this.#client);
    if (!report.isProven || !isSuspect || !this.#isDeep) return report;
    return await verifyReplica(this.#client, { isDeep: true });
  }

  heal(): void {
    rmSync(this.#path, { recursive: true });
    cpSync(this.#healthy, this.#path, { recursive: true, preserveTimestamps: true });
  }

  /**
   * Damage, judge and heal. What changes a state has to be found, in the name of one of `names`.
   *
   * @param hasTrace whether what is left can show the damage at all
   */
  async attempt(
    names: readonly string[],
    what: string,
    { damage, hasTrace = true }: { damage: () => void; hasTrace?: boolean },
  ): Promise<void> {
    damage();
    this.tally.cases++;
    const isChanged = this.#isChanged();
    if (isChanged) this.tally.changed++;
    const report = await this.verify({ isSuspect: isChanged });
    const told = JSON.stringify(
      report.generations.flatMap(({ damages, findings }) => [...damages, ...findings]),
    );
    const damaged = report.generations.flatMap(({ damages }) =>
      damages.map(({ key, reason }) => `${key}: ${reason}`)
    );
    if (isChanged && !hasTrace) this.tally.unprovable += report.isProven ? 1 : 0;
    else if (isChanged) {
      assert.equal(report.isProven, false, `${what}: a state has changed, and verify found nothing: ${told}`);
      const isNamed = names.some((name) => damaged.some((text) => text.includes(this.key(name))));
      assert.ok(isNamed, `${what}: none of ${names.join(", ")} is named: ${told}`);
    }
    this.heal();
  }

  #isChanged(): boolean {
    return this.#states.some(({ point, state }) => {
      const isThere = point === LATEST || existsSync(this.path((point as StoredObject).name));
      return !isThere || this.#brute.state(this.#path, point) !== state;
    });
  }
}

function objectsIn(path: string): StoredObject[] {
  const snapshots = readdirSync(join(path, "snapshots")).map((name) => ({
    name: `snapshots/${name}`,
    index: Number.parseInt(name, 16),
    offset: SNAPSHOT_ALONE,
  }));
  const segments = readdirSync(join(path, "wal")).map((name) => ({
    name: `wal/${name}`,
    index: Number.parseInt(name, 16),
    offset: Number.parseInt(name.slice(9), 16),
  }));
  return [...snapshots, ...segments].sort((left, right) =>
    left.index - right.index || left.offset - right.offset
  );
}

/** Bytes of the note in front of an object, its skippable frame included. */
function noteSize(stored: Uint8Array): number {
  const view = new DataView(stored.buffer, stored.byteOffset, stored.byteLength);
  return stored.length > 8 && view.getUint32(0, true) === 0x184d2a5b ? 8 + view.getUint32(4, true) : 0;
}

/** Missing, empty, cut, longer, flipped. */
async function damageAlone(patient: Patient, objects = patient.objects): Promise<void> {
  for (const object of objects) {
    const { name } = object;
    const bytes = patient.bytes(name);
    const content = noteSize(bytes);
    const { length } = bytes;
    for (
      const size of new Set([0, 1, content, content + 7, Math.floor(length / 2), length - 5, length - 1])
    ) {
      const damage = () => writeFileSync(patient.path(name), bytes.subarray(0, size));
      await patient.attempt([name], `${name} cut to ${size}`, { damage });
    }
    const damage = () => writeFileSync(patient.path(name), new Uint8Array([...bytes, 0]));
    await patient.attempt([name], `${name} with a byte more`, { damage });
    const middle = Math.floor((length + content) / 2);
    for (
      const at of new Set([
        0,
        9,
        20,
        30,
        50,
        content,
        content + 4,
        content + 6,
        content + 11,
        middle,
        length - 1,
      ])
    ) {
      const damage = () =>
        writeFileSync(patient.path(name), bytes.map((byte, nth) => nth === at ? byte ^ 0x10 : byte));
      await patient.attempt([name], `${name} flipped at ${at}`, { damage });
    }
    await patient.attempt([name], `${name} missing`, {
      damage: () => rmSync(patient.path(name)),
      hasTrace: leavesTrace(object, patient),
    });
  }
}

/** In what is encrypted nobody sees it, and all of that is ours here. */
function isNoted(stored: Uint8Array): boolean {
  return noteSize(stored) > 0 || stored[0] === "a".charCodeAt(0);
}

/** What is gone shows only by what comes after it; without notes the last segment of an index never does. */
function leavesTrace(object: StoredObject, patient: Patient): boolean {
  const { objects } = patient;
  if (object === objects.at(-1)) return false;
  if (object.offset === SNAPSHOT_ALONE) {
    return !objects.some((other) => other !== object && other.offset === SNAPSHOT_ALONE);
  }
  return isNoted(patient.bytes(object.name)) ||
    objects.some(({ index, offset }) => index === object.index && offset > object.offset);
}

/**
 * Without a note a snapshot can be of any moment of its index, which the one of the next index then is as well; and
 * what the first one held before it was overwritten nothing tells.
 */
function isPlainSnapshot(name: string, patient: Patient): boolean {
  return name.startsWith("snapshots/") && !isNoted(patient.bytes(name));
}

/** Each object in the place of another, and exchanged with it. */
async function damagePairs(patient: Patient, objects = patient.objects): Promise<void> {
  for (const [nth, { name: left }] of objects.entries()) {
    for (const { name: right } of objects.slice(nth + 1)) {
      const put = (from: string, to: string) => () => writeFileSync(patient.path(to), patient.bytes(from));
      const hasTrace = !isPlainSnapshot(left, patient) || !isPlainSnapshot(right, patient);
      await patient.attempt([right], `${left} in the place of ${right}`, {
        damage: put(left, right),
        hasTrace,
      });
      await patient.attempt([left], `${right} in the place of ${left}`, {
        damage: put(right, left),
        hasTrace,
      });
      const damage = () => [put(left, right), put(right, left)].forEach((act) => act());
      await patient.attempt([left, right], `${left} exchanged with ${right}`, { damage, hasTrace });
    }
  }
}

/** Each object once more under a name that nothing has yet. */
async function damageTwice(patient: Patient, objects = patient.objects): Promise<void> {
  const last = patient.objects.at(-1)!.index;
  const hex = (value: number) => value.toString(16).padStart(8, "0");
  const free = [`wal/${hex(last + 1)}_00000000.wal.lz4`, `snapshots/${hex(last + 1)}.snapshot.lz4`];
  for (const { name, index, offset } of objects) {
    const names = offset === SNAPSHOT_ALONE ? free : [
      ...free,
      `wal/${hex(index)}_${hex(offset + 1)}.wal.lz4`,
      `wal/${hex(index)}_${hex(offset).padStart(9, "0")}.wal.lz4`,
    ];
    for (const other of names) {
      const damage = () => writeFileSync(patient.path(other), patient.bytes(name));
      await patient.attempt([name, other], `${name} once more as ${other}`, { damage });
    }
  }
}

/** Several neighbours gone. */
async function damageHoles(patient: Patient): Promise<void> {
  const segments = patient.objects.filter(({ offset }) => offset !== SNAPSHOT_ALONE);
  for (let from = 0; from < segments.length; from++) {
    for (const count of [2, 3]) {
      const hole = segments.slice(from, from + count).map(({ name }) => name);
      await patient.attempt(hole, `a hole of ${hole.join(", ")}`, {
        damage: () => hole.forEach((name) => rmSync(patient.path(name))),
        hasTrace: from + count < segments.length,
      });
    }
  }
}

const SMALL = { indexCount: 3, segmentsPerIndex: 2, snapshotIndexes: [2], withStates: false, pageSize: 512 };

test("verifyReplica() finds all damage of a replica of ours that changes a state, and names the object", async () => {
  using folder = temporaryFolder();
  const { root } = await buildReplica({ folder: folder.path, ...SMALL });
  const patient = new Patient(root, { folder: folder.path });
  await assertProven(patient);
  await damageAlone(patient);
  await damagePairs(patient);
  await damageTwice(patient);
  await damageHoles(patient);
  await assertProven(patient);
  record("damage that verify judged, a replica of ours", patient);
});

test("verifyReplica() finds all damage of an encrypted replica that changes a state, and names the object", async () => {
  using folder = temporaryFolder();
  const key = makeAgeKey();
  const cipher = cipherFor(key);
  const { root } = await buildReplica({ folder: folder.path, ...SMALL, indexCount: 2, snapshotIndexes: [1] });
  for (const { name } of objectsIn(join(root, "generations", readdirSync(join(root, "generations"))[0]!))) {
    const path = join(root, "generations", readdirSync(join(root, "generations"))[0]!, name);
    writeFileSync(path, await cipher.encryptBytes(new Uint8Array(readFileSync(path))));
  }
  const decrypt = (stored: Uint8Array) => ageDecrypt(stored, key);
  const patient = new Patient(root, { folder: folder.path, cipher, decrypt });
  await assertProven(patient);
  await damageAlone(patient);
  await damagePairs(patient);
  await damageTwice(patient);
  record("damage that verify judged, an encrypted replica", patient);
});

test("verifyReplica() finds all damage of Litestream's replica that can be found, deep", async () => {
  const seed = randomInt(2 ** 31);
  using folder = temporaryFolder();
  try {
    const root = await litestreamReplica(folder.path, seed);
    const patient = new Patient(root, { folder: folder.path, isDeep: true });
    await assertProven(patient);
    const some = patient.objects.filter((_, nth) => nth % Math.ceil(patient.objects.length / 6) === 0);
    const snapshots = patient.objects.filter(({ offset }) => offset === SNAPSHOT_ALONE);
    await damageAlone(patient, some);
    await damagePairs(patient, [...new Set([...some.slice(0, 3), ...snapshots.slice(0, 3)])]);
    await damageTwice(patient, some.slice(0, 3));
    record("damage that verify -deep judged, a replica of Litestream's", patient);
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error });
  }
});

/** A few indexes and snapshots of Litestream's. */
async function litestreamReplica(folder: string, seed: number): Promise<string> {
  const [databasePath, replicaPath] = [join(folder, "live.db"), join(folder, "replica")];
  using workload = new RandomWorkload({ path: databasePath, seed, pageSize: 1024 });
  await using litestream = Litestream.start({
    configPath: join(folder, "litestream.yml"),
    databases: [{ databasePath, replicaPath }],
    checkpointPages: 30,
    replicaLines: ["snapshot-interval: 100ms"],
  });
  const count = (part: string) => {
    const generations = join(replicaPath, "generations");
    const [generation] = existsSync(generations) ? readdirSync(generations) : [];
    const path = join(generations, generation ?? "", part);
    return existsSync(path) ? readdirSync(path).filter((name) => name.endsWith(".lz4")).length : 0;
  };
  for (let round = 0; count("snapshots") < 3 || round < 6; round++) {
    assert.ok(round < 60, `too few snapshots: ${litestream.log}`);
    const before = count("wal");
    for (let step = 0; step < 12; step++) workload.step();
    workload.database.exec(`INSERT OR REPLACE INTO item (id, name) VALUES (1000, 'round ${round}')`);
    await until(() => count("wal") > before, () => `more segments: ${litestream.log}`);
  }
  await litestream.stop();
  workload.finish();
  return replicaPath;
}

async function assertProven(patient: Patient): Promise<void> {
  const report = await patient.verify({ isSuspect: true });
  assert.deepEqual(report.generations.flatMap(({ damages }) => damages), []);
  const [only] = report.generations;
  assert.equal(only!.pointCount, only!.reachableCount);
}

function record(name: string, { tally }: Patient): void {
  assert.ok(tally.changed > 50, `only ${tally.changed} cases`);
  recordFigure(
    name,
    `${tally.cases} cases, ${tally.changed} changed a state, ${
      tally.changed - tally.unprovable
    } of those found, ${tally.unprovable} leave no trace`,
  );
}
