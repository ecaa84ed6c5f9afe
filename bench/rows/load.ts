/** B6, B7: an application that writes, steadily or as fast as it can. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Place } from "../place.ts";
import { LiveProgram, runWriter, type WriterOptions } from "../process.ts";
import type { Sample } from "../result.ts";
import type { Cell, Side } from "../runner.ts";
import { quiet, type Row, type Scene, until } from "../scene.ts";

interface Load extends WriterOptions {
  readonly id: string;
  readonly title: string;
  /** Whether the same writer is measured without anybody beside it first. Default false. */
  readonly hasBare?: boolean;
}

function generationCount(place: Place): number {
  try {
    return readdirSync(join(place.objectsPath(), "generations")).length;
  } catch {
    // The 0.5 line has none.
    return 1;
  }
}

async function runLoad(place: Place, side: Side, load: Load): Promise<Sample> {
  let bareCount = 0;
  if (load.hasBare) {
    place.reset();
    bareCount = (await runWriter(place.databasePath, load)).count;
  }
  place.reset();
  await using live = new LiveProgram(side.program, ["replicate", "-config", place.configPath]);
  await until("the first object", () => place.objects().length >= 1);
  // What the first commit entails is not the load's.
  await runWriter(place.databasePath, { seconds: 0.05, rate: 20 });
  await quiet(() => place.objects().length);
  const [objectsBefore, generationsBefore] = [place.objects().length, generationCount(place)];
  const before = await live.read();
  const writer = await runWriter(place.databasePath, load);
  // What it still has to send is work too.
  await quiet(() => place.objects().length);
  const after = await live.read();
  const objectCount = place.objects().length - objectsBefore;
  const newGenerationCount = generationCount(place) - generationsBefore;
  await live.end();
  const cpuSeconds = after.cpuSeconds - before.cpuSeconds;
  return {
    values: {
      cpuSeconds,
      cpuMsPer1000: cpuSeconds * 1e6 / writer.count,
      peakBytes: after.peakBytes,
      commitsPerSecond: writer.count / load.seconds,
      writerP99Ms: writer.p99,
      writerP999Ms: writer.p999,
      writerMostMs: writer.most,
      walBytes: writer.walBytes,
      objectCount,
      newGenerationCount,
      ...(load.hasBare ? { writerShare: writer.count / bareCount } : {}),
    },
  };
}

function loadCell(scene: Scene, load: Load): Cell {
  const name = load.id.replace("/", "-");
  const placeOf = (side: Side) => scene.place({ ground: scene.folders, name, side });
  return {
    id: load.id,
    title: `${load.title}, ${load.seconds} s`,
    scale: load.rate * load.seconds,
    warmsUp: false,
    run: (side) => runLoad(placeOf(side), side, load),
    async prove(sides) {
      for (const side of sides) await placeOf(side).prove(sides);
      scene.forget(name);
    },
  };
}

/** Steady loads. */
export const steady: Row = (scene) => {
  const seconds = scene.isQuick ? 4 : 15;
  const loads: Load[] = [
    { id: "B6/2000", title: "2000 commits a second of 300 bytes", rate: 2000, seconds },
    { id: "B6/200", title: "200 commits a second of 300 bytes", rate: 200, seconds },
    { id: "B6/5-large", title: "5 commits a second of 1 MB", rate: 5, rowBytes: 1e6, seconds },
  ];
  return (scene.isQuick ? loads.slice(0, 1) : loads).map((load) => loadCell(scene, load));
};

/** A writer at full speed, with SQLite's own checkpoints and without. */
export const fullSpeed: Row = (scene) => {
  const loads: Load[] = [1000, 0].map((autocheckpoint) => ({
    id: `B7/autocheckpoint-${autocheckpoint}`,
    title: `a writer at full speed, autocheckpoint ${autocheckpoint}`,
    rate: 0,
    seconds: scene.isQuick ? 3 : 10,
    autocheckpoint,
    hasBare: true,
  }));
  return (scene.isQuick ? loads.slice(0, 1) : loads).map((load) => loadCell(scene, load));
};
