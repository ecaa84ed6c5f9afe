/** B8: what databases cost that nobody writes to. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Place } from "../place.ts";
import { holdDatabases, LiveProgram } from "../process.ts";
import type { Sample } from "../result.ts";
import type { Cell, Side } from "../runner.ts";
import { MANY, pause, type Row, type Scene, until } from "../scene.ts";

/**
 * Long enough for what the last commits entail, upload and, after four seconds of quiet, checkpoint; and for what a
 * runtime does about a start: it compiles and collects each second, until half a minute has brought nothing new. That
 * is measured by itself, as the CPU time from the start on.
 */
const SETTLE_MS = 30_000;
const QUICK_SETTLE_MS = 8000;

function countObjects(place: Place): number {
  return place.databasePaths.reduce((sum, _, number) => sum + place.objects(number).length, 0);
}

/** Start with databases that an application has open and has written to, and come to rest. */
async function runIdle(
  place: Place,
  side: Side,
  { seconds, settleMs }: { seconds: number; settleMs: number },
): Promise<Sample> {
  place.reset();
  const list = join(place.folder, "databases.txt");
  writeFileSync(list, place.databasePaths.join("\n"));
  await using _held = await holdDatabases(list);
  await using live = new LiveProgram(side.program, ["replicate", "-config", place.configPath]);
  // Each has a snapshot and at least one segment.
  await until(
    "the first objects of all databases",
    () => place.databasePaths.every((_, number) => place.objects(number).length >= 2),
    MANY,
  );
  await pause(settleMs);
  const before = await live.read();
  if (before.writtenBytes === 0) throw new Error("write_bytes does not move here when something is written");
  const objectsBefore = countObjects(place);
  await pause(seconds * 1000);
  const after = await live.read();
  const objectsAfter = countObjects(place);
  const { peakBytes } = await live.end();
  return {
    values: {
      cpuShare: (after.cpuSeconds - before.cpuSeconds) / (after.wallSeconds - before.wallSeconds),
      startCpuSeconds: before.cpuSeconds,
      residentBytes: after.residentBytes,
      peakBytes,
      writtenBytes: after.writtenBytes - before.writtenBytes,
      newObjectCount: objectsAfter - objectsBefore,
    },
  };
}

function idleCell(scene: Scene, databaseCount: number): Cell {
  const seconds = scene.isQuick ? 5 : 60;
  const settleMs = scene.isQuick ? QUICK_SETTLE_MS : SETTLE_MS;
  const name = `B8-${databaseCount}`;
  const placeOf = (side: Side) => scene.place({ ground: scene.folders, name, side, databaseCount });
  return {
    id: `B8/${databaseCount}`,
    title: `${databaseCount} idle database${databaseCount === 1 ? "" : "s"}, ${seconds} s`,
    scale: databaseCount,
    warmsUp: false,
    run: (side) => runIdle(placeOf(side), side, { seconds, settleMs }),
    async prove(sides) {
      for (const side of sides) await placeOf(side).prove(sides);
      scene.forget(name);
    },
  };
}

/** One, a hundred, a thousand. */
export const idle: Row = (scene) => {
  return (scene.isQuick ? [100] : [1, 100, 1000]).map((count) => idleCell(scene, count));
};
