/** A replica of many generations and segments that is only there to be listed. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FileStore } from "../src/storage/file_store.ts";
import { segmentKey, snapshotKey } from "../src/storage/keys.ts";
import { objectsBelow } from "./files.ts";
import { makeSegments } from "./segments.ts";

const SEGMENTS_AN_INDEX = 10;

/** What the names of its generations begin with; a generation made by chance doesn't. */
export const LISTED_GENERATION = "aaaaaaaaaaaa";

/** Generations with as many segments each, ten an index; objects are whole, though not of one history. */
export async function makeListing(
  root: string,
  { generationCount, segmentCount }: { generationCount: number; segmentCount: number },
): Promise<void> {
  const small = `${root}-small`;
  rmSync(small, { recursive: true, force: true });
  mkdirSync(join(small, "replica"), { recursive: true });
  {
    await using store = new FileStore({ root: join(small, "replica") });
    await makeSegments(join(small, "small.db"), store, { segmentCount: SEGMENTS_AN_INDEX, indexCount: 1 });
  }
  const objects = objectsBelow(join(small, "replica"));
  const snapshot = objects.find((path) => path.endsWith(".snapshot.lz4"))!;
  const segment = readFileSync(objects.filter((path) => path.endsWith(".wal.lz4")).at(-1)!);
  for (let number = 1; number <= generationCount; number++) {
    const generation = `${LISTED_GENERATION}${String(number).padStart(4, "0")}`;
    for (const kind of ["snapshots", "wal"]) {
      mkdirSync(join(root, "generations", generation, kind), { recursive: true });
    }
    copyFileSync(snapshot, join(root, snapshotKey({ generation, index: 0 })));
    for (let nth = 0; nth < segmentCount; nth++) {
      const index = Math.floor(nth / SEGMENTS_AN_INDEX);
      // A header, then a frame for each.
      const offset = nth % SEGMENTS_AN_INDEX === 0 ? 0 : 32 + (nth % SEGMENTS_AN_INDEX) * 4120;
      writeFileSync(join(root, segmentKey({ generation, index, offset })), segment);
    }
  }
  rmSync(small, { recursive: true, force: true });
}
