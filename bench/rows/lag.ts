/** B5, B9: from a commit to its object. */
import { statSync, watch } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { decodeObjectBytes } from "../../src/codec/object.ts";
import { parseSegmentName } from "../../src/storage/keys.ts";
import type { Ground } from "../ground.ts";
import type { Place } from "../place.ts";
import { LiveProgram } from "../process.ts";
import type { Sample, SideName } from "../result.ts";
import type { Cell, Side } from "../runner.ts";
import { MANY, pause, quiet, type Row, type Scene, until } from "../scene.ts";
import { quantile } from "../statistics.ts";

/** Commits of one program, over all pairs, when singles are measured. */
const SINGLES = 300;

const ROUNDS_OF_SINGLES = { quick: 2, standard: 5, full: 9 } as const;

const insert = "INSERT INTO t (x) VALUES (randomblob(200))";

/** Its objects of segments lie in one folder. */
function segmentsFolder(place: Place, number = 0): string {
  const isSegment = (path: string) =>
    place.side.name === "peer05" ? path.endsWith(".ltx") : /\/wal\//.test(path);
  return dirname(place.objects(number).find(isSegment)!);
}

/** Start it with a database that has its first objects, and come to rest. */
async function startWith(place: Place, application: DatabaseSync): Promise<LiveProgram> {
  const live = new LiveProgram(place.side.program, ["replicate", "-config", place.configPath]);
  application.exec(insert);
  await until("the first objects", () => place.objects().length >= 2);
  await quiet(() => place.objects().length);
  return live;
}

/** The time of the first object that comes into a folder from now on. */
function nextObject(folder: string): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const watcher = watch(folder, (_, name) => {
    if (!/\.(wal\.lz4|ltx)$/.test(name ?? "")) return;
    resolve(performance.now());
    watcher.close();
  });
  return promise;
}

/** A time as it is between events that know nothing of each other: within a sync interval, too. */
const poissonPause = (meanMs: number) => pause(-Math.log(1 - Math.random()) * meanMs);

/** Single commits, 2 s apart on average. */
async function runSingles(place: Place, count: number): Promise<Sample> {
  place.reset();
  using application = new DatabaseSync(place.databasePath, { timeout: 5000 });
  await using live = await startWith(place, application);
  const objectsBefore = place.objects().length;
  const lags: number[] = [];
  for (let number = 0; number < count; number++) {
    await poissonPause(2000);
    const came = nextObject(segmentsFolder(place));
    await pause(20);
    const startMs = performance.now();
    application.exec(insert);
    lags.push(await came - startMs);
  }
  await quiet(() => place.objects().length);
  const objectCount = place.objects().length - objectsBefore;
  await live.end();
  return {
    values: { lagP50Ms: quantile(lags, 0.5), lagP95Ms: quantile(lags, 0.95), objectCount },
    series: { lagMs: lags },
  };
}

/** 20 commits a second; an object has those up to its end in the WAL. */
async function runSteady(place: Place, seconds: number): Promise<Sample> {
  place.reset();
  using application = new DatabaseSync(place.databasePath, { timeout: 5000 });
  application.exec("PRAGMA wal_autocheckpoint = 0");
  await using live = await startWith(place, application);
  const folder = segmentsFolder(place);
  const arrivals = new Map<string, number>();
  const watcher = watch(folder, (_, name) => {
    if (name?.endsWith(".wal.lz4") && !arrivals.has(name)) arrivals.set(name, performance.now());
  });
  await pause(20);
  const commits: { readonly atMs: number; readonly end: number }[] = [];
  const wal = `${place.databasePath}-wal`;
  const startMs = performance.now();
  for (let number = 0; number < seconds * 20; number++) {
    await pause(Math.max(0, startMs + number * 50 - performance.now()));
    const atMs = performance.now();
    application.exec(insert);
    commits.push({ atMs, end: statSync(wal).size });
  }
  await quiet(() => place.objects().length);
  watcher.close();
  await live.end();
  const objects: { readonly atMs: number; readonly end: number }[] = [];
  for (const [name, atMs] of arrivals) {
    const { raw } = decodeObjectBytes(await place.read(`${folder}/${name}`));
    objects.push({ atMs, end: parseSegmentName(name)!.offset + raw.length });
  }
  const lags = commits.flatMap(({ atMs, end }) => {
    const times = objects.filter((object) => object.end >= end).map((object) => object.atMs);
    return times.length === 0 ? [] : [Math.min(...times) - atMs];
  });
  if (lags.length < commits.length) throw new Error("not every commit came into an object");
  return {
    values: {
      lagP50Ms: quantile(lags, 0.5),
      lagP95Ms: quantile(lags, 0.95),
      objectCount: arrivals.size,
    },
    series: { lagMs: lags },
  };
}

function lagCell(scene: Scene, options: {
  readonly id: string;
  readonly title: string;
  readonly latencyMs?: number;
  readonly without?: readonly SideName[];
  readonly run: (place: Place) => Promise<Sample>;
}): Cell {
  const { id, title, latencyMs, run, without = [] } = options;
  const name = id.replace("/", "-");
  let ground: Ground = scene.folders;
  const placeOf = (side: Side) => scene.place({ ground, name, side });
  return {
    id,
    title,
    scale: 1,
    without,
    warmsUp: false,
    async prepare() {
      if (latencyMs === undefined) return;
      const bucket = await scene.bucket();
      ground = bucket;
      await bucket.setLine({ latencyMs, isUp: true });
    },
    run: (side) => run(placeOf(side)),
    async prove(sides) {
      if (latencyMs !== undefined) await (await scene.bucket()).setLine({});
      for (const side of sides) await placeOf(side).prove(sides);
      scene.forget(name);
    },
  };
}

/** Singles and a steady 20 a second, to a folder and to S3. */
export const lag: Row = (scene) => {
  const count = scene.isQuick ? 4 : Math.ceil(SINGLES / ROUNDS_OF_SINGLES[scene.mode]);
  const seconds = scene.isQuick ? 5 : 25;
  const grounds = [
    { start: "folder", where: "a folder" },
    { start: "s3", where: "S3, 30 ms", latencyMs: 30 },
  ];
  return grounds.flatMap(({ start, where, latencyMs }) => {
    const line = latencyMs === undefined ? {} : { latencyMs };
    const singles = lagCell(scene, {
      id: `B5/${start}-singles`,
      title: `${count} single commits, 2 s apart on average, to ${where}`,
      ...line,
      run: (place) => runSingles(place, count),
    });
    const steady = lagCell(scene, {
      id: `B5/${start}-20`,
      title: `20 commits a second, ${seconds} s, to ${where}`,
      ...line,
      // How far into the WAL its objects reach is not told by their names.
      without: ["peer05"],
      run: (place) => runSteady(place, seconds),
    });
    return scene.isQuick ? [singles] : [singles, steady];
  });
};

/** Of a thousand databases ten at a time are written to, for some commits each; then the next ten. */
async function runRotating(place: Place, turns: number): Promise<Sample> {
  place.reset();
  await using live = new LiveProgram(place.side.program, ["replicate", "-config", place.configPath]);
  const isThere = (number: number) => place.objects(number).length >= 1;
  await until(
    "the snapshots of all databases",
    () => place.databasePaths.every((_, at) => isThere(at)),
    MANY,
  );
  await pause(8000);
  const lags: number[] = [];
  let mostResident = 0;
  for (let turn = 0; turn < turns; turn++) {
    const numbers = Array.from({ length: 10 }, (_, nth) => (turn * 10 + nth) % place.databasePaths.length);
    lags.push(...(await Promise.all(numbers.map((number) => writeSome(place, number)))).flat());
    mostResident = Math.max(mostResident, (await live.read()).residentBytes);
  }
  await quiet(() => place.objects().length);
  const { peakBytes } = await live.end();
  return {
    values: {
      lagP50Ms: quantile(lags, 0.5),
      lagP95Ms: quantile(lags, 0.95),
      residentBytes: mostResident,
      peakBytes,
    },
    series: { lagMs: lags },
  };
}

/** Four commits; the first makes the folder that the others are watched in. */
async function writeSome(place: Place, number: number): Promise<number[]> {
  using application = new DatabaseSync(place.databasePaths[number]!, { timeout: 5000 });
  const before = place.objects(number).length;
  application.exec(insert);
  await until("the first segment", () => place.objects(number).length > before);
  const lags: number[] = [];
  const folder = segmentsFolder(place, number);
  for (let nth = 0; nth < 3; nth++) {
    // Past a sync interval: how long one waits for that is B5's.
    await pause(1100 + Math.random() * 1800);
    const came = nextObject(folder);
    await pause(20);
    const startMs = performance.now();
    application.exec(insert);
    lags.push(await came - startMs);
  }
  return lags;
}

/** A thousand databases, ten of them active. */
export const rotating: Row = (scene) => {
  const databaseCount = scene.isQuick ? 100 : 1000;
  const name = "B9-rotating";
  const placeOf = (side: Side) => scene.place({ ground: scene.folders, name, side, databaseCount });
  return [{
    id: "B9/rotating",
    title: `${databaseCount} databases, ten of them written to, by turns`,
    scale: databaseCount,
    warmsUp: false,
    run: (side) => runRotating(placeOf(side), scene.isQuick ? 2 : 6),
    async prove(sides) {
      for (const side of sides) await placeOf(side).prove(sides);
      scene.forget(name);
    },
  }];
};
