import { test } from "node:test";
import assert from "node:assert/strict";
import { join } from "node:path";
import { readAll } from "../../src/bytes.ts";
import { decodeObjectBytes } from "../../src/codec/object.ts";
import type { Segment } from "../../src/database/segment.ts";
import type { Position } from "../../src/position.ts";
import { SegmentUpload } from "../../src/replicate/upload_segment.ts";
import { sendUpTo } from "../../src/replicate/upload_round.ts";
import { systemClock, yieldToEvents } from "../../src/runtime/clock.ts";
import { FileStore } from "../../src/storage/file_store.ts";
import { segmentKey } from "../../src/storage/keys.ts";
import { ReplicaClient } from "../../src/storage/replica_client.ts";
import { FaultyStore } from "../doubles/faulty_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { makeWal } from "../wal/made_wal.ts";

const PAGE_SIZE = 65_536;
const GENERATION = "0123456789abcdef";

/** The WAL of one index: below or above the size from which segments are streams. */
const walOf = (frameCount: number) =>
  makeWal({
    pageSize: PAGE_SIZE,
    frames: Array.from({ length: frameCount }, (_, at) => ({ pageNumber: at + 1, pageCount: at + 1 })),
  });

const SIZES = { small: walOf(2), large: walOf(20), "more than a block": walOf(70) } as const;

interface Damaged {
  readonly index: number;
  readonly wal: Uint8Array;
}

/** Everything that could go on without waiting has. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await yieldToEvents();
}

/** Four indexes, each of one segment, on their way into a folder that can be held up. */
class Way implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly files: FileStore;
  readonly store: FaultyStore;
  /** Indexes that were begun to be read, and those whose reading has ended. */
  readonly read: number[] = [];
  readonly ended: number[] = [];
  readonly #client: ReplicaClient;

  readonly #damaged: Damaged | undefined;

  constructor(readonly wal: Uint8Array, { damaged }: { damaged?: Damaged } = {}) {
    this.#damaged = damaged;
    this.files = new FileStore({ root: join(this.#folder.path, "replica") });
    this.store = new FaultyStore(this.files);
    this.#client = new ReplicaClient(this.store);
  }

  #segment(index: number): Segment {
    return {
      generation: GENERATION,
      index,
      offset: 0,
      length: this.wal.length,
      newestCommitAt: new Date(0),
      previousEnd: undefined,
      path: "shadow",
      chain: () => undefined,
      read: () => {
        this.read.push(index);
        const wal = this.#damaged?.index === index ? this.#damaged.wal : this.wal;
        const halves = [wal.subarray(0, 1000), wal.subarray(1000)];
        return new ReadableStream({
          pull: (controller) => {
            const chunk = halves.shift();
            if (chunk !== undefined) return controller.enqueue(chunk);
            this.ended.push(index);
            controller.close();
          },
          cancel: () => void this.ended.push(index),
        }, { highWaterMark: 0 });
      },
      async readInto(into) {
        into.set(await readAll(this.read(), { limit: into.length }));
      },
    };
  }

  send(): Promise<unknown> {
    const at = (index: number): Position => ({ generation: GENERATION, index, offset: 0 });
    return sendUpTo({ ...at(3), offset: this.wal.length }, {
      from: at(0),
      uploadAt: ({ index, offset }) => {
        const next = offset === 0 ? index : index + 1;
        if (next > 3) return undefined;
        const options = { pageSize: PAGE_SIZE, newestCommitAt: new Date(0) };
        return new SegmentUpload(this.#client, this.#segment(next), options);
      },
      send: async (upload) => void await upload.put(),
      clock: systemClock,
    });
  }

  /** Indexes of the uploads that were begun. */
  get begun(): number[] {
    return this.store.of("put").map(({ key }) => Number(/(\d{8})_/.exec(key)![1]));
  }

  /** Hold up the upload of an index. */
  hold(index: number): { release: () => void; fail: (error: Error) => void } {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const key = segmentKey({ generation: GENERATION, index, offset: 0 });
    this.store.rules.push({ method: "put", key: new RegExp(key), gate: promise });
    return { release: resolve, fail: reject };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#folder[Symbol.dispose]();
    return Promise.resolve();
  }
}

for (const [size, wal] of Object.entries(SIZES)) {
  test(`sendUpTo() reads one ${size} segment while the one before is sent, and sends it after that`, async () => {
    await using way = new Way(wal);
    const { release } = way.hold(1);
    const sent = way.send();
    await until(() => way.read.includes(2), "the next segment to be read");
    // One more would have been begun at the same time.
    await settle();
    assert.deepEqual(way.read, [0, 1, 2]);
    assert.deepEqual(way.begun, [0, 1]);
    release();
    const round = await sent as { count: number };
    assert.equal(round.count, 4);
    assert.deepEqual(way.begun, [0, 1, 2, 3]);
    for (let index = 0; index < 4; index++) {
      const stored = await way.files.get(segmentKey({ generation: GENERATION, index, offset: 0 }));
      assert.deepEqual(decodeObjectBytes(await readAll(stored, { limit: 1 << 24 })).raw, wal);
    }
  });

  test(`sendUpTo() lets a prepared ${size} segment go when the one before fails, as often as that happens`, async () => {
    for (let tries = 0; tries < 5; tries++) {
      await using way = new Way(wal);
      const { fail } = way.hold(1);
      const sent = way.send();
      await until(() => way.read.includes(2), "the next segment to be read");
      fail(new Error("the store is gone"));
      await assert.rejects(sent, /the store is gone/);
      assert.deepEqual(way.begun, [0, 1]);
      assert.deepEqual(way.ended.toSorted(), [0, 1, 2], "what was read is still open");
    }
  });
}

test("sendUpTo() prepares no more than two segments at once in the whole process, and sends all the same", async () => {
  await using ways = new AsyncDisposableStack();
  const three = [0, 1, 2].map(() => ways.use(new Way(SIZES.large)));
  const held = three.map((way) => way.hold(1));
  const sent = three.map((way) => way.send());
  await until(() => three.every((way) => way.begun.includes(1)), "the uploads");
  await until(() => three.filter((way) => way.read.includes(2)).length === 2, "two that read ahead");
  await settle();
  assert.equal(three.filter((way) => way.read.includes(2)).length, 2);
  for (const { release } of held) release();
  await Promise.all(sent);
  for (const way of three) assert.deepEqual(way.begun, [0, 1, 2, 3]);
});

test("sendUpTo(): what preparing fails with comes when it is its turn, after the one before is stored", async () => {
  const wal = SIZES.small.slice();
  wal[wal.length - 1]! ^= 1;
  await using way = new Way(SIZES.small, { damaged: { index: 2, wal } });
  const { release } = way.hold(1);
  const sent = way.send();
  await until(() => way.read.includes(2), "the next segment to be read");
  await settle();
  release();
  await assert.rejects(sent, { name: "ContinuityLostError" });
  assert.deepEqual(way.begun, [0, 1]);
  await way.files.get(segmentKey({ generation: GENERATION, index: 1, offset: 0 }));
});
