import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { readAll } from "../../src/bytes.ts";
import { decodeObjectBytes } from "../../src/codec/object.ts";
import { ContinuityLostError } from "../../src/database/continuity.ts";
import type { Segment } from "../../src/database/segment.ts";
import { SegmentUpload } from "../../src/replicate/upload_segment.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { makeWal } from "../wal/made_wal.ts";

const PAGE_SIZE = 65_536;

const walOf = (frameCount: number) =>
  makeWal({
    pageSize: PAGE_SIZE,
    frames: Array.from({ length: frameCount }, (_, at) => ({ pageNumber: at + 1, pageCount: at + 1 })),
  });

/** A segment that is read only at once, and the memory that it was read into. */
function segmentOf(wal: Uint8Array, index: number): { segment: Segment; memory: () => ArrayBufferLike } {
  let memory: ArrayBufferLike | undefined;
  const segment: Segment = {
    generation: "0123456789abcdef",
    index,
    offset: 0,
    length: wal.length,
    newestCommitAt: new Date(0),
    previousEnd: undefined,
    path: "shadow",
    chain: () => undefined,
    read: () => assert.fail("a small segment is read at once"),
    readInto(into) {
      assert.equal(into.length, wal.length);
      memory = into.buffer;
      into.set(wal);
      return Promise.resolve();
    },
  };
  return { segment, memory: () => memory! };
}

const OPTIONS = { pageSize: PAGE_SIZE, newestCommitAt: new Date(0) };

test("SegmentUpload reads one small segment after the other into the same memory, and stores each whole", async () => {
  using folder = temporaryFolder();
  const client = new ReplicaClient(new FileStore({ root: join(folder.path, "replica") }));
  const seen = new Set<ArrayBufferLike>();
  for (const [index, wal] of [walOf(2), walOf(15), walOf(3)].entries()) {
    const { segment, memory } = segmentOf(wal, index);
    const { key } = await new SegmentUpload(client, segment, OPTIONS).put();
    seen.add(memory());
    const stored = await readAll(await client.store.get(key), { limit: 2 << 20 });
    assert.deepEqual(decodeObjectBytes(stored).raw, wal);
  }
  assert.equal(seen.size, 1);
});

test("SegmentUpload never mixes two small segments that are prepared at once", async () => {
  using folder = temporaryFolder();
  const client = new ReplicaClient(new FileStore({ root: join(folder.path, "replica") }));
  const wals = [walOf(5), walOf(4)];
  const uploads = wals.map((wal, index) => new SegmentUpload(client, segmentOf(wal, index).segment, OPTIONS));
  await Promise.all(uploads.map((upload) => upload.prepare()));
  for (const [index, upload] of uploads.entries()) {
    const { key } = await upload.put();
    const stored = await readAll(await client.store.get(key), { limit: 2 << 20 });
    assert.deepEqual(decodeObjectBytes(stored).raw, wals[index]);
  }
});

test("SegmentUpload stores nothing of a small segment that is damaged, and names the frame", async () => {
  using folder = temporaryFolder();
  const client = new ReplicaClient(new FileStore({ root: join(folder.path, "replica") }));
  const wal = walOf(3);
  wal[wal.length - 1]! ^= 1;
  const upload = new SegmentUpload(client, segmentOf(wal, 0).segment, OPTIONS);
  await assert.rejects(upload.put(), (error) => {
    assert.ok(error instanceof ContinuityLostError);
    assert.match(error.message, /checksum mismatch: .*the shadow wal shadow is damaged/);
    return true;
  });
  assert.deepEqual(await client.segments("0123456789abcdef"), []);
});
