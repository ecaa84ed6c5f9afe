/**
 * A database rebuilt from a snapshot and all shadow files, in the plainest way there is: every frame of every index in
 * order, written over a copy in memory. The judge of whether anything was lost.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { concatBytes, readAll, viewOf } from "../../src/bytes.ts";
import type { LiveDatabase } from "../../src/database/database.ts";
import { frameSize, WAL_HEADER_SIZE } from "../../src/position.ts";
import { chainOf, frameHeaderAt, scanFrames } from "../../src/wal/frames.ts";
import { parseWalHeader } from "../../src/wal/header.ts";

/** A snapshot in memory. */
export interface KeptSnapshot {
  readonly generation: string;
  readonly index: number;
  readonly offset: number;
  readonly pageSize: number;
  readonly bytes: Uint8Array;
}

/** Take a snapshot and read all of it. */
export async function keepSnapshot(database: LiveDatabase): Promise<KeptSnapshot> {
  using source = await database.openSnapshot();
  const { generation, index, offset, pageSize, pageCount } = source;
  const bytes = await readAll(source.read(), { limit: pageSize * pageCount });
  return { generation, index, offset, pageSize, bytes };
}

/** What came of it. */
export interface Rebuilt {
  readonly bytes: Uint8Array;
  readonly sha256: string;
  readonly indexCount: number;
  readonly frameCount: number;
  readonly commitCount: number;
  /** Salts of each index, in order. */
  readonly salts: readonly (readonly [number, number])[];
}

/** Replay the shadow WAL of `database` over `snapshot`, up to its position or `end`. Throws when a frame does not belong. */
export function rebuild(
  database: Pick<LiveDatabase, "position" | "meta">,
  snapshot: KeptSnapshot,
  end?: { index: number; offset: number },
): Rebuilt {
  const position = database.position && { ...database.position, ...end };
  if (position?.generation !== snapshot.generation) throw new Error("the generation is another one by now");
  const { pageSize } = snapshot;
  const pages = new Pages(snapshot.bytes);
  let frameCount = 0;
  let commitCount = 0;
  const salts: (readonly [number, number])[] = [];
  for (let index = snapshot.index; index <= position.index; index++) {
    const path = database.meta.shadowPath(snapshot.generation, index);
    if (index === position.index && position.offset === 0) break;
    const file = new Uint8Array(readFileSync(path));
    const whole = index === position.index ? file.subarray(0, position.offset) : file;
    const header = parseWalHeader(whole);
    salts.push(header.salts);
    const frames = whole.slice(WAL_HEADER_SIZE);
    const scan = scanFrames(frames, chainOf(header));
    if (scan.stop !== "end" || scan.committedCount !== scan.frameCount) {
      throw new Error(
        `${path}: ${scan.stop} after ${scan.frameCount} frames, ${scan.committedCount} committed`,
      );
    }
    frameCount += scan.frameCount;
    commitCount += scan.commitCount;
    pages.apply(frames, { pageSize });
  }
  const { bytes } = pages;
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { bytes, sha256, indexCount: salts.length, frameCount, commitCount, salts };
}

/** Grows by doubling and is cut only at the end: copying the database for each index takes minutes. */
class Pages {
  #room: Uint8Array;
  #length: number;

  constructor(bytes: Uint8Array) {
    this.#room = bytes.slice();
    this.#length = bytes.length;
  }

  get bytes(): Uint8Array {
    return this.#room.subarray(0, this.#length);
  }

  apply(frames: Uint8Array, { pageSize }: { pageSize: number }): void {
    const view = viewOf(frames);
    const size = frameSize(pageSize);
    let written = this.#length;
    for (let at = 0; at < frames.length; at += size) {
      const frame = frameHeaderAt(view, at);
      const end = frame.pageNumber * pageSize;
      written = Math.max(written, end);
      if (end > this.#room.length) {
        this.#room = concatBytes([this.#room, new Uint8Array(end * 2 - this.#room.length)]);
      }
      this.#room.set(frames.subarray(at + 24, at + size), end - pageSize);
      if (frame.pageCount !== 0) this.#length = frame.pageCount * pageSize;
    }
    // As a checkpoint truncates: what grows again later grows with zeros.
    this.#room.fill(0, this.#length, Math.max(written, this.#length));
  }
}
