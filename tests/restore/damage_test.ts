import { test } from "node:test";
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodeObjectBytes, encodeObjectBytes } from "../../src/codec/object.ts";
import { describeError } from "../../src/errors.ts";
import type { RestoreTarget } from "../../src/restore/plan.ts";
import { restore } from "../../src/restore/restore.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { buildReplica, type BuiltObject, type BuiltReplica, fileHash } from "../builders/replica_builder.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFigure } from "../figures.ts";
import type { LogFields, Logger } from "../../src/logger.ts";

/** A replica that a test may break, and a folder to restore to. */
class Patient {
  readonly root: string;
  readonly target: string;
  readonly warnings: { message: string; fields: LogFields | undefined }[] = [];

  constructor(readonly healthy: BuiltReplica, folder: string) {
    this.root = join(folder, "broken");
    this.target = join(folder, "target");
    cpSync(healthy.root, this.root, { recursive: true });
    mkdirSync(this.target);
    writeFileSync(join(this.target, "neighbour"), "stays");
  }

  path(key: string): string {
    return join(this.root, key);
  }

  /** Undo what was done to an object. */
  heal(key: string): void {
    cpSync(join(this.healthy.root, key), this.path(key));
  }

  /** The hash of what a restore brings, or its error in one line; the folder is left as it was. */
  async restored(target: RestoreTarget = { kind: "latest" }): Promise<{ hash: string } | { error: string }> {
    const outputPath = join(this.target, "out.db");
    this.warnings.length = 0;
    const client = new ReplicaClient(new FileStore({ root: this.root }));
    try {
      await restore({ clients: [client], outputPath, target, logger: this.#logger() });
      const hash = fileHash(outputPath);
      rmSync(outputPath);
      return { hash };
    } catch (error) {
      return { error: describeError(error) };
    } finally {
      assert.deepEqual(readdirSync(this.target), ["neighbour"]);
    }
  }

  /** Whether a restore is refused by a line that names the object. */
  async assertRefused(key: string, what: string, target?: RestoreTarget): Promise<void> {
    const result = await this.restored(target);
    assert.ok("error" in result, `${what}: restored as if nothing was wrong`);
    assert.ok(result.error.includes(key), `${what}: ${result.error}`);
    assert.ok(!result.error.includes("\n"), what);
  }

  #logger(): Logger {
    const logger: Logger = {
      debug() {},
      info() {},
      warn: (message, fields) => this.warnings.push({ message, fields }),
      error() {},
      with: () => logger,
    };
    return logger;
  }
}

/** Bytes of the note in front of an object, its skippable frame included. */
function noteSize(stored: Uint8Array): number {
  const view = new DataView(stored.buffer, stored.byteOffset);
  return view.getUint32(0, true) === 0x184d2a5b ? 8 + view.getUint32(4, true) : 0;
}

/** The last segments can be missing without a trace in what is left: nothing stored comes after them. */
function isTrailing(object: BuiltObject, objects: readonly BuiltObject[]): boolean {
  return object === objects.at(-1);
}

async function withPatient(
  options: { withNotes?: boolean },
  act: (patient: Patient) => Promise<number>,
): Promise<number> {
  using folder = temporaryFolder();
  const healthy = await buildReplica({ folder: folder.path, ...options });
  const patient = new Patient(healthy, folder.path);
  assert.deepEqual(await patient.restored(), { hash: healthy.finalState }, "the unmodified replica");
  assert.deepEqual(patient.warnings, []);
  const caseCount = await act(patient);
  assert.deepEqual(await patient.restored(), { hash: healthy.finalState }, "the healed replica");
  return caseCount;
}

/** Missing, empty, cut and flipped: what can happen to one object by itself. */
async function damageAlone(patient: Patient): Promise<number> {
  const { objects } = patient.healthy;
  let caseCount = 0;
  for (const object of objects) {
    const { key } = object;
    const bytes = readFileSync(patient.path(key));
    const attempt = async (what: string, broken: Uint8Array) => {
      writeFileSync(patient.path(key), broken);
      await patient.assertRefused(key, `${key} ${what}`);
      caseCount++;
    };
    const content = noteSize(bytes);
    for (const size of [0, 1, 7, content, content + 7, Math.floor(bytes.length / 2), bytes.length - 1]) {
      if (size < bytes.length) await attempt(`cut to ${size} bytes`, bytes.subarray(0, size));
    }
    await attempt("with a byte more", new Uint8Array([...bytes, 0]));
    const last = bytes.length - 1;
    const positions = [0, 1, 4, 5, 6, 7, 11, 40, Math.floor((last - content) / 2), last - content - 4];
    for (const position of [...positions, last - content]) {
      const broken = new Uint8Array(bytes);
      broken[content + position]! ^= 0x10;
      await attempt(`flipped at ${content + position}`, broken);
    }
    rmSync(patient.path(key));
    if (!isTrailing(object, objects)) {
      await patient.assertRefused(key, `${key} missing`);
      caseCount++;
    }
    patient.heal(key);
  }
  return caseCount;
}

/** Each object in the place of each other one, and each pair exchanged. */
async function damagePairs(patient: Patient): Promise<number> {
  const { objects } = patient.healthy;
  let caseCount = 0;
  for (const [nth, { key: left }] of objects.entries()) {
    for (const { key: right } of objects.slice(nth + 1)) {
      cpSync(join(patient.healthy.root, left), patient.path(right));
      await patient.assertRefused(right, `${left} in the place of ${right}`);
      cpSync(join(patient.healthy.root, right), patient.path(left));
      // Now they are exchanged: the one that is read first is named.
      await patient.assertRefused(left, `${left} exchanged with ${right}`);
      patient.heal(right);
      await patient.assertRefused(left, `${right} in the place of ${left}`);
      patient.heal(left);
      caseCount += 3;
    }
  }
  return caseCount;
}

test("restore() refuses each object that is missing, cut or flipped and names it (cases 79, 80)", async () => {
  recordFigure("damage: missing, cut, flipped", await withPatient({}, damageAlone));
});

test("restore() refuses each object in the place of another and names it", async () => {
  recordFigure("damage: exchanged, duplicated", await withPatient({}, damagePairs));
});

test("restore() refuses cut and flipped objects without notes", async () => {
  recordFigure("damage without notes: cut, flipped", await withPatient({ withNotes: false }, damageUnnoted));
});

/** Without notes nothing shows that the last segment of an index is missing, but for its open salts. */
async function damageUnnoted(patient: Patient): Promise<number> {
  const { objects } = patient.healthy;
  const isLastOfIndex = (object: BuiltObject) =>
    object.offset !== undefined &&
    !objects.some((other) => other.index === object.index && (other.offset ?? 0) > object.offset!);
  let caseCount = 0;
  for (const object of objects) {
    const bytes = readFileSync(patient.path(object.key));
    for (const broken of [bytes.subarray(0, bytes.length - 1), bytes.map((b, at) => at === 20 ? b ^ 1 : b)]) {
      writeFileSync(patient.path(object.key), broken);
      await patient.assertRefused(object.key, object.key);
      caseCount++;
    }
    rmSync(patient.path(object.key));
    if (!isLastOfIndex(object)) {
      await patient.assertRefused(object.key, `${object.key} missing`);
      caseCount++;
    }
    patient.heal(object.key);
  }
  return caseCount;
}

test("restore() refuses a hole of several segments and names one of them", async () => {
  await withPatient({}, async (patient) => {
    const segments = patient.healthy.objects.filter((object) => object.offset !== undefined);
    for (const count of [2, 3, 4, 5]) {
      const hole = segments.slice(4, 4 + count);
      for (const { key } of hole) rmSync(patient.path(key));
      const result = await patient.restored();
      assert.ok(
        "error" in result && hole.some(({ key }) => result.error.includes(key)),
        JSON.stringify(result),
      );
      for (const { key } of hole) patient.heal(key);
    }
    return 4;
  });
});

test("restore() passes over damage of only a note, says so once and restores the same bytes", async () => {
  await withPatient({}, async (patient) => {
    let caseCount = 0;
    for (const { key } of patient.healthy.objects) {
      const bytes = readFileSync(patient.path(key));
      const size = noteSize(bytes);
      for (const position of [14, 16, 24, 30, size - 1]) {
        const broken = new Uint8Array(bytes);
        broken[position]! ^= 0x01;
        writeFileSync(patient.path(key), broken);
        assert.deepEqual(
          await patient.restored(),
          { hash: patient.healthy.finalState },
          `${key} at ${position}`,
        );
        const named = patient.warnings.filter(({ fields }) => fields?.["key"] === key);
        assert.equal(named.length, 1, `${key} at ${position}: ${JSON.stringify(patient.warnings)}`);
        caseCount++;
      }
      patient.heal(key);
    }
    return caseCount;
  });
});

test("restore() needs nothing that comes before its snapshot (case 81)", async () => {
  using folder = temporaryFolder();
  const healthy = await buildReplica({ folder: folder.path, snapshotIndexes: [2] });
  const patient = new Patient(healthy, folder.path);
  for (const { key } of healthy.objects.filter((object) => object.index < 2)) {
    rmSync(patient.path(key));
    assert.deepEqual(await patient.restored(), { hash: healthy.finalState }, key);
  }
});

test("restore() refuses one snapshot in the place of another", async () => {
  using folder = temporaryFolder();
  const healthy = await buildReplica({ folder: folder.path, snapshotIndexes: [2] });
  const patient = new Patient(healthy, folder.path);
  const [older, newer] = healthy.objects.filter((object) => object.offset === undefined);
  cpSync(join(healthy.root, older!.key), patient.path(newer!.key));
  await patient.assertRefused(newer!.key, "the older snapshot in the place of the newer");
});

test("restore() refuses a snapshot of another size than its note says", async () => {
  using folder = temporaryFolder();
  const healthy = await buildReplica({ folder: folder.path });
  const patient = new Patient(healthy, folder.path);
  const { key } = healthy.objects[0]!;
  const { note, raw } = decodeObjectBytes(new Uint8Array(readFileSync(patient.path(key))));
  assert.ok(note?.kind === "snapshot");
  for (const other of [{ pageCount: note.pageCount + 1 }, { pageSize: 512, pageCount: note.pageCount * 2 }]) {
    writeFileSync(patient.path(key), encodeObjectBytes(raw, { note: { ...note, ...other } }));
    await patient.assertRefused(key, JSON.stringify(other));
  }
});

test("restore() to an index learns from what is left behind it that its end is missing", async () => {
  using folder = temporaryFolder();
  const healthy = await buildReplica({ folder: folder.path, snapshotIndexes: [3] });
  const patient = new Patient(healthy, folder.path);
  const last = healthy.objects.findLast((object) => object.index === 2)!;
  const target = { kind: "index", index: 2 } as const;
  assert.deepEqual(await patient.restored(target), { hash: last.state });
  rmSync(patient.path(last.key));
  await patient.assertRefused(last.key, "by the first segment of the next index", target);
  for (const { key, index, offset } of healthy.objects) {
    if (index === 3 && offset !== undefined) rmSync(patient.path(key));
  }
  await patient.assertRefused(last.key, "by the snapshot of the next index", target);
});
