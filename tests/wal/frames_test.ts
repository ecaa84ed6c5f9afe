import assert from "node:assert/strict";
import { test } from "node:test";
import { viewOf } from "../../src/bytes.ts";
import { frameSize } from "../../src/position.ts";
import { chainOf, frameChecksumAt, frameHeaderAt, scanFrames, type WalChain } from "../../src/wal/frames.ts";
import { parseWalHeader } from "../../src/wal/header.ts";
import { framesOf, MADE_SALTS, type MadeFrame, makeWal } from "./made_wal.ts";

/** Two transactions of two frames, then one frame of an open one. */
const FRAMES: readonly MadeFrame[] = [
  { pageNumber: 1 },
  { pageNumber: 2, pageCount: 2 },
  { pageNumber: 3 },
  { pageNumber: 2, pageCount: 3, fill: 9 },
  { pageNumber: 1, fill: 8 },
];

function made(options: { pageSize?: number; bigEndian?: boolean; frames?: readonly MadeFrame[] } = {}) {
  const wal = makeWal({ pageSize: 512, frames: FRAMES, ...options });
  return { frames: framesOf(wal), chain: chainOf(parseWalHeader(wal)) };
}

function summary(bytes: Uint8Array, chain: WalChain) {
  const { frameCount, committedCount, commitCount, pageCount, stop } = scanFrames(bytes, chain);
  return { frameCount, committedCount, commitCount, pageCount, stop };
}

test("scanFrames() counts frames and commits in both byte orders and every page size (case 12)", () => {
  for (const bigEndian of [false, true]) {
    for (let pageSize = 512; pageSize <= 65536; pageSize *= 2) {
      const { frames, chain } = made({ pageSize, bigEndian });
      assert.deepEqual(summary(frames, chain), {
        frameCount: 5,
        committedCount: 4,
        commitCount: 2,
        pageCount: 3,
        stop: "end",
      });
      const scan = scanFrames(frames, chain);
      assert.deepEqual(scan.checksum, frameChecksumAt(viewOf(frames), 4 * frameSize(pageSize)));
      assert.deepEqual(scan.committedChecksum, frameChecksumAt(viewOf(frames), 3 * frameSize(pageSize)));
    }
  }
});

test("scanFrames() goes on from where another scan ended", () => {
  const { frames, chain } = made();
  const size = frameSize(512);
  for (let cut = 0; cut <= 5; cut++) {
    const first = scanFrames(frames.subarray(0, cut * size), chain);
    const second = scanFrames(frames.subarray(cut * size), { ...chain, checksum: first.checksum });
    assert.equal(first.frameCount, cut);
    assert.equal(second.frameCount, 5 - cut);
    assert.deepEqual(second.checksum, scanFrames(frames, chain).checksum);
  }
});

test("scanFrames() counts nothing of a transaction without its commit frame (case 15)", () => {
  const { frames, chain } = made({ frames: [{ pageNumber: 1 }, { pageNumber: 2 }] });
  const scan = scanFrames(frames, chain);
  assert.equal(scan.frameCount, 2);
  assert.equal(scan.committedCount, 0);
  assert.equal(scan.pageCount, 0);
  assert.deepEqual(scan.committedChecksum, chain.checksum);
});

test("scanFrames() stops before a frame with other salts (case 13)", () => {
  for (const salts of [[MADE_SALTS[0] + 1, MADE_SALTS[1]], [MADE_SALTS[0], MADE_SALTS[1] ^ 1]] as const) {
    const { frames, chain } = made({
      frames: FRAMES.map((frame, at) => at === 3 ? { ...frame, salts } : frame),
    });
    assert.deepEqual(summary(frames, chain), {
      frameCount: 3,
      committedCount: 2,
      commitCount: 1,
      pageCount: 2,
      stop: "salt",
    });
  }
});

test("scanFrames() stops before the frame that any flipped bit is in (case 14)", () => {
  const { frames, chain } = made();
  const size = frameSize(512);
  for (let byte = 3 * size; byte < 4 * size; byte++) {
    for (const bit of [0, 7]) {
      frames[byte]! ^= 1 << bit;
      const scan = scanFrames(frames, chain);
      assert.equal(scan.frameCount, 3, `byte ${byte - 3 * size}`);
      assert.equal(scan.committedCount, 2);
      const isSalt = byte - 3 * size >= 8 && byte - 3 * size < 16;
      assert.equal(scan.stop, isSalt ? "salt" : "checksum", `byte ${byte - 3 * size}`);
      frames[byte]! ^= 1 << bit;
    }
  }
});

test("scanFrames() stops before page number 0", () => {
  const { frames, chain } = made({
    frames: [{ pageNumber: 1, pageCount: 1 }, { pageNumber: 0, pageCount: 1 }],
  });
  assert.deepEqual(summary(frames, chain), {
    frameCount: 1,
    committedCount: 1,
    commitCount: 1,
    pageCount: 1,
    stop: "page number",
  });
});

test("scanFrames() stops before a partial frame", () => {
  const { frames, chain } = made();
  const size = frameSize(512);
  for (
    const [length, frameCount] of [[0, 0], [1, 0], [size - 1, 0], [size, 1], [size + 1, 1], [5 * size - 1, 4]]
  ) {
    const scan = scanFrames(frames.subarray(0, length), chain);
    assert.equal(scan.frameCount, frameCount, `length ${length}`);
    assert.equal(scan.stop, length! % size === 0 ? "end" : "partial", `length ${length}`);
  }
});

test("scanFrames() takes bytes at any address", () => {
  const { frames, chain } = made();
  for (const shift of [1, 2, 3, 4, 6]) {
    const memory = new Uint8Array(frames.length + 8);
    memory.set(frames, shift);
    const scan = scanFrames(memory.subarray(shift, shift + frames.length), chain);
    assert.equal(scan.frameCount, 5, `shift ${shift}`);
  }
});

test("frameHeaderAt() reads page number and size", () => {
  const { frames } = made();
  const view = viewOf(frames);
  assert.deepEqual(frameHeaderAt(view, 3 * frameSize(512)), { pageNumber: 2, pageCount: 3 });
  assert.deepEqual(frameHeaderAt(view, 4 * frameSize(512)), { pageNumber: 1, pageCount: 0 });
});
