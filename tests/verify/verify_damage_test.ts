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

/**
 * Damage of which what is left can't tell, since a healthy replica can look the same:
 *
 * - `end`: the newest objects are gone; what is left is the replica of some time before
 * - `first snapshot`: where there is another, what is left is what retention leaves that was broken off
 * - `plain end`: without notes nothing tells where an index ended
 * - `plain snapshot`: without notes no snapshot before it shows what the first one has to hold, and one in between may
 *   be there or not
 */
type Traceless = "end" | "first snapshot" | "plain end" | "plain snapshot";

/** What became of the cases. */
interface Tally {
  cases: number;
  /** Cases in which some state is no longer restored as it was. */
  changed: number;
  /** Of those, the ones that verify calls proven, by their kind. */
  readonly missed: Map<Traceless, number>;
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
  readonly tally: Tally = { cases: 0, changed: 0, missed: new Map() };

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
   * @param traceless why nothing need be found
   */
  async attempt(
    names: readonly string[],
    what: string,
    { damage, traceless }: { damage: () => void; traceless?: Traceless | undefined },
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
    if (isChanged && traceless !== undefined) {
      if (report.isProven) {
        this.tally.missed.set(traceless, (this.tally.missed.get(traceless) ?? 0) + 1);
        this.#assertWholeByItself(traceless, what, told);
      }
    } else if (isChanged) {
      assert.equal(report.isProven, false, `${what}: a state has changed, and verify found nothing: ${told}`);
      const isNamed = names.some((name) => damaged.some((text) => text.includes(this.key(name))));
      assert.ok(isNamed, `${what}: none of ${names.join(", ")} is named: ${told}`);
    }
    this.heal();
  }

  /** Whether a state that could be restored can't be any more, or comes out as another one. */
  #isChanged(): boolean {
    const left = this.#left();
    const restored = new Set(left.map(({ point }) => this.#brute.state(this.#path, point)));
    return left.some(({ point, state }) => this.#brute.state(this.#path, point) !== state) ||
      this.#states.some(({ state }) => !restored.has(state));
  }

  /** Healthy states of the points that are still there. */
  #left() {
    return this.#states.filter(({ point }) =>
      point === LATEST || existsSync(this.path((point as StoredObject).name))
    );
  }

  /** What is left after damage without a trace is the whole replica of another time, or is told of. */
  #assertWholeByItself(traceless: Traceless, what: string, told: string): void {
    if (traceless === "plain end" || traceless === "plain snapshot") return;
    const left = this.#left().filter(({ point }) => point !== LATEST);
    for (const { point, state } of left) {
      const now = this.#brute.state(this.#path, point);
      // WAL from before the first snapshot leads nowhere.
      if (traceless === "first snapshot" && now === undefined) continue;
      assert.equal(now, state, `${what}: ${JSON.stringify(point)}`);
    }
    if (traceless === "end") {
      assert.equal(this.#brute.state(this.#path, LATEST), left.at(-1)!.state, `${what}: the newest state`);
      assert.deepEqual(
        left.map(({ point }) => point),
        this.#states.slice(0, left.length).map(({ point }) => point),
      );
    } else {
      assert.match(told, /wal from before the first snapshot: retention .* or a snapshot is missing/, what);
      assert.ok(told.includes(this.key("wal/")), what);
    }
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
      traceless: tracelessLoss(object, patient),
    });
  }
}

/** In what is encrypted nobody sees it, and all of that is ours here. */
function isNoted(stored: Uint8Array): boolean {
  return noteSize(stored) > 0 || stored[0] === "a".charCodeAt(0);
}

/** Why the loss of `object` need not show. */
function tracelessLoss(object: StoredObject, patient: Patient): Traceless | undefined {
  const { objects } = patient;
  if (object === objects.at(-1)) return "end";
  const isNotedHere = isNoted(patient.bytes(object.name));
  if (object.offset === SNAPSHOT_ALONE) {
    const snapshots = objects.filter(({ offset }) => offset === SNAPSHOT_ALONE);
    if (snapshots.length === 1) return undefined;
    if (object === snapshots[0]) return "first snapshot";
    // With notes nothing is lost with it: another object leads to the same state.
    return isNotedHere ? undefined : "plain snapshot";
  }
  const isLast = !objects.some(({ index, offset }) => index === object.index && offset > object.offset);
  return !isNotedHere && isLast ? "plain end" : undefined;
}

/**
 * Whether without notes a snapshot passes for another one: for the first, of which nothing tells what it has to hold;
 * and for that of the index before, which may be of the end of its index.
 */
function isPlainStandIn(
  from: StoredObject,
  { to, patient }: { to: StoredObject; patient: Patient },
): boolean {
  const snapshots = patient.objects.filter(({ offset }) => offset === SNAPSHOT_ALONE);
  if (!snapshots.includes(from) || !snapshots.includes(to) || isNoted(patient.bytes(to.name))) return false;
  return to === snapshots[0] || from.index === to.index + 1;
}

/** Each object in the place of another, and exchanged with it. */
async function damagePairs(patient: Patient, objects = patient.objects): Promise<void> {
  for (const [nth, first] of objects.entries()) {
    for (const second of objects.slice(nth + 1)) {
      const [left, right] = [first.name, second.name];
      const put = (from: string, to: string) => () => writeFileSync(patient.path(to), patient.bytes(from));
      const traceless = (to: StoredObject, from: StoredObject) =>
        isPlainStandIn(from, { to, patient }) ? "plain snapshot" : undefined;
      await patient.attempt([right], `${left} in the place of ${right}`, {
        damage: put(left, right),
        traceless: traceless(second, first),
      });
      await patient.attempt([left], `${right} in the place of ${left}`, {
        damage: put(right, left),
        traceless: traceless(first, second),
      });
      const damage = () => [put(left, right), put(right, left)].forEach((act) => act());
      await patient.attempt([left, right], `${left} exchanged with ${right}`, { damage });
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
        traceless: from + count < segments.length ? undefined : "end",
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
  const { cases, changed, missed } = tally;
  const missedCount = [...missed.values()].reduce((sum, count) => sum + count, 0);
  const kinds = [...missed].map(([kind, count]) => `${kind} ${count}`).join(", ");
  recordFigure(
    name,
    `${cases} cases, ${changed} changed a state, ${
      changed - missedCount
    } of those found, ${missedCount} nobody ` +
      `can know of (${kinds})`,
  );
}
