/** B10: the store is away while the application writes on. */
import { statSync } from "node:fs";
import type { BucketGround } from "../ground.ts";
import type { Place } from "../place.ts";
import { LiveProgram, runWriter } from "../process.ts";
import type { Sample } from "../result.ts";
import type { Side } from "../runner.ts";
import { pause, quiet, type Row, until } from "../scene.ts";

/** Nothing new for longer than any pause between two tries: everything has come. */
const QUIET_MS = 35_000;

async function runOutage(place: Place, bucket: BucketGround, seconds: number): Promise<Sample> {
  place.reset();
  await bucket.s3.proxy.enable(true);
  await using live = new LiveProgram(place.side.program, ["replicate", "-config", place.configPath]);
  await until("the snapshot", () => place.objects().length >= 1);
  await runWriter(place.databasePath, { seconds: 5, rate: 500 });
  await quiet(() => place.objects().length);
  const before = await live.read();
  await bucket.s3.proxy.enable(false);
  let isWriting = true;
  let mostResident = before.residentBytes;
  const watching = (async () => {
    while (isWriting) {
      mostResident = Math.max(mostResident, (await live.read()).residentBytes);
      await pause(250);
    }
  })();
  await runWriter(place.databasePath, { seconds, rate: 500 });
  const backAtMs = Date.now();
  await bucket.s3.proxy.enable(true);
  await quiet(() => place.objects().length, { quietMs: QUIET_MS, limitMs: 300_000 });
  isWriting = false;
  await watching;
  const after = await live.read();
  // When the server has written an object whole.
  const lastAtMs = Math.max(
    ...place.objects().map((path) => statSync(`${path}${bucket.objectEnding}`).mtimeMs),
  );
  await live.end();
  return {
    values: {
      catchUpSeconds: (lastAtMs - backAtMs) / 1000,
      residentGrowthBytes: Math.max(0, mostResident - before.residentBytes),
      cpuSeconds: after.cpuSeconds - before.cpuSeconds,
      peakBytes: after.peakBytes,
    },
  };
}

/** 90 seconds at 500 commits a second. */
export const outage: Row = (scene) => {
  const seconds = scene.isQuick ? 10 : 90;
  const name = "B10-outage";
  let bucket: BucketGround;
  const placeOf = (side: Side) => scene.place({ ground: bucket, name, side });
  return [{
    id: "B10/outage",
    title: `the store away for ${seconds} s at 500 commits a second of 300 bytes`,
    scale: seconds * 500,
    warmsUp: false,
    async prepare() {
      bucket = await scene.bucket();
      await bucket.setLine({});
    },
    run: (side) => runOutage(placeOf(side), bucket, seconds),
    async prove(sides) {
      for (const side of sides) await placeOf(side).prove(sides);
      scene.forget(name);
    },
  }];
};
