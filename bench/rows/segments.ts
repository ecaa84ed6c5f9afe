/** B4: restores of many small segments. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { segmentsReplica } from "../inputs.ts";
import type { Place } from "../place.ts";
import type { Cell, Side } from "../runner.ts";
import type { Row, Scene } from "../scene.ts";
import type { SegmentsOptions } from "../segments.ts";

/** Objects that are put into the bucket at once. */
const PARALLEL = 32;

const keysIn = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) =>
    statSync(join(folder, name)).isFile()
  );

function segmentsCell(scene: Scene, size: SegmentsOptions & { readonly latencyMs?: number }): Cell {
  const { segmentCount, indexCount, latencyMs } = size;
  const isFolder = latencyMs === undefined;
  const id = `B4/${isFolder ? "folder" : "s3"}-${segmentCount}${isFolder ? "" : `-${latencyMs}ms`}`;
  let place: Place;
  return {
    id,
    title: `restore of ${segmentCount} segments over ${indexCount} index${
      indexCount === 1 ? "" : "es"
    } from ${isFolder ? "a folder" : `S3, ${latencyMs} ms`}`,
    scale: segmentCount,
    // It reads no 0.3 replica.
    without: ["peer05"],
    async prepare(sides) {
      const folder = await segmentsReplica({ segmentCount, indexCount });
      const ours = sides.find(({ name }) => name === "ours")!;
      const ground = isFolder ? scene.folders : await scene.bucket();
      place = scene.place({ ground, name: id.replace("/", "-"), side: ours });
      if (isFolder) return place.configure({ type: "file", path: folder });
      const replica = `segments/${segmentCount}`;
      const bucket = await scene.bucket();
      await fillBucket(bucket, { folder, replica });
      await bucket.setLine({ latencyMs });
      place.configure(ground.settingsOf(replica));
    },
    async run({ program }: Side) {
      const { wallSeconds, cpuSeconds, peakBytes } = await place.restore(program);
      return { values: { wallSeconds, cpuSeconds, peakBytes } };
    },
    async prove(sides) {
      if (!isFolder) await (await scene.bucket()).setLine({});
      await place.prove(sides, { hasSource: false });
    },
  };
}

async function fillBucket(
  bucket: Awaited<ReturnType<Scene["bucket"]>>,
  { folder, replica }: { folder: string; replica: string },
): Promise<void> {
  await using store = bucket.s3.openStore(replica);
  const keys = keysIn(folder);
  for await (const _ of store.list("")) return;
  await bucket.setLine({});
  let at = 0;
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    while (at < keys.length) {
      const key = keys[at++]!;
      await store.put(key, new Uint8Array(readFileSync(join(folder, key))));
    }
  }));
}

/** Folder and bucket; 625, 2500 and 10,000 segments show how it grows. */
export const manySegments: Row = (scene) => {
  if (scene.isQuick) {
    const small = { segmentCount: 500, indexCount: 8 };
    return [segmentsCell(scene, small), segmentsCell(scene, { ...small, latencyMs: 30 })];
  }
  const usual = { segmentCount: 2500, indexCount: 8 };
  return [
    segmentsCell(scene, { segmentCount: 625, indexCount: 8 }),
    segmentsCell(scene, usual),
    segmentsCell(scene, { segmentCount: 10_000, indexCount: 8 }),
    segmentsCell(scene, { segmentCount: 20_000, indexCount: 50 }),
    segmentsCell(scene, { segmentCount: 2000, indexCount: 1 }),
    ...[0, 10, 30, 100].map((latencyMs) => segmentsCell(scene, { ...usual, latencyMs })),
    segmentsCell(scene, { segmentCount: 20_000, indexCount: 50, latencyMs: 30 }),
    segmentsCell(scene, { segmentCount: 2000, indexCount: 1, latencyMs: 30 }),
  ];
};
