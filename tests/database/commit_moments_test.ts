/** A commit's time is never said to be earlier than it was: a restore to a moment must not hold what came later. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LiveDatabase } from "../../src/database/database.ts";
import { type Files, type FileStat, systemFiles } from "../../src/runtime/files.ts";
import { hookFiles } from "../doubles/hooked_files.ts";
import { Stage } from "./stage.ts";

/** Files whose times of shadow files are `seen` of the real ones: the kernel's are those of its last tick. */
function withTimes(seen: (at: Date) => Date): Files {
  const files = hookFiles(systemFiles, ({ kind, path }, act) => {
    const result = act();
    if (kind !== "stat" || !/[0-9a-f]{8}\.wal$/.test(path) || result === undefined) return result;
    const stat = result as FileStat;
    return { ...stat, modifiedAt: seen(stat.modifiedAt) } as typeof result;
  });
  return files;
}

/** A commit, and the next index after it. Gives when the commit began. */
async function commitAndRestart(stage: Stage, database: LiveDatabase): Promise<number> {
  await database.settle();
  const { index } = database.position!;
  const at = Date.now();
  stage.insert();
  await database.settle();
  while (database.position!.index === index) {
    stage.application.exec("PRAGMA wal_checkpoint(PASSIVE)");
    await database.settle();
    stage.insert();
    await database.settle();
  }
  return at;
}

const COARSE = [
  ["ticks of 10 ms", (at: Date) => new Date(at.getTime() - 6)],
  ["whole seconds", (at: Date) => new Date(Math.floor(at.getTime() / 1000) * 1000)],
  ["two seconds", (at: Date) => new Date(Math.floor(at.getTime() / 2000) * 2000)],
] as const;

for (const [name, seen] of COARSE) {
  test(`LiveDatabase.segmentAfter() names no earlier time where the file system counts in ${name}`, async () => {
    await using stage = new Stage();
    stage.insert();
    const files = withTimes(seen);
    const database = await stage.follow({ files });
    const { generation, index } = database.position!;
    const at = await commitAndRestart(stage, database);
    const segment = database.segmentAfter({ generation, index, offset: 0 }, { maxBytes: 1 << 20 })!;
    assert.ok(segment.newestCommitAt.getTime() >= at, `${segment.newestCommitAt.getTime()} < ${at}`);
    assert.ok(segment.newestCommitAt.getTime() <= Date.now());
  });

  test(`LiveDatabase.segmentAfter() after a start names no earlier time where it counts in ${name}`, async () => {
    await using stage = new Stage();
    stage.insert();
    const files = withTimes(seen);
    const before = await stage.follow({ files });
    const { generation, index } = before.position!;
    const at = Date.now();
    stage.insert();
    await before.close();
    const database = await stage.follow({ files });
    assert.equal(database.position!.generation, generation);
    const segment = database.segmentAfter({ generation, index, offset: 0 }, { maxBytes: 1 << 20 })!;
    assert.ok(segment.newestCommitAt.getTime() >= at, `${segment.newestCommitAt.getTime()} < ${at}`);
  });
}
