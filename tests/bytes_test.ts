import assert from "node:assert/strict";
import { test } from "node:test";
import {
  concatBytes,
  equalBytes,
  fromHex,
  readAhead,
  readAll,
  streamOf,
  toHex,
  viewOf,
} from "../src/bytes.ts";

test("concatBytes() joins in order and copies", () => {
  assert.deepEqual(concatBytes([]), new Uint8Array(0));
  const part = new Uint8Array([1, 2]);
  const joined = concatBytes([part, new Uint8Array(0), new Uint8Array([3])]);
  part[0] = 9;
  assert.deepEqual(joined, new Uint8Array([1, 2, 3]));
});

test("equalBytes() compares length and every byte", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  assert.ok(equalBytes(bytes, new Uint8Array([0, 1, 2, 3]).subarray(1)));
  assert.ok(equalBytes(new Uint8Array(0), new Uint8Array(0)));
  assert.ok(!equalBytes(bytes, new Uint8Array([1, 2])));
  assert.ok(!equalBytes(bytes, new Uint8Array([1, 2, 4])));
  assert.ok(!equalBytes(bytes, new Uint8Array([0, 2, 3])));
});

test("toHex() and fromHex() are each other's inverse", () => {
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  assert.equal(toHex(new Uint8Array([0, 10, 255])), "000aff");
  assert.deepEqual(fromHex(toHex(all)), all);
  assert.deepEqual(fromHex(" 04 22\n4D18 "), new Uint8Array([0x04, 0x22, 0x4d, 0x18]));
  assert.deepEqual(fromHex(""), new Uint8Array(0));
});

test("fromHex() refuses odd and foreign digits", () => {
  for (const text of ["0", "0g", "0x00", "-1"]) assert.throws(() => fromHex(text), /not hex/, text);
});

test("viewOf() looks at the array's own part of its buffer", () => {
  const bytes = new Uint8Array([9, 9, 0x12, 0x34, 9]).subarray(2, 4);
  assert.equal(viewOf(bytes).byteLength, 2);
  assert.equal(viewOf(bytes).getUint16(0), 0x1234);
});

test("readAhead() has read one chunk, and no more before that is asked for", async () => {
  let count = 0;
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (count === 3) controller.close();
      else controller.enqueue(Uint8Array.of(count++));
    },
  }, { highWaterMark: 0 });
  const stream = await readAhead(source);
  assert.equal(count, 1);
  const reader = stream.getReader();
  assert.deepEqual((await reader.read()).value, Uint8Array.of(0));
  assert.equal(count, 1);
  reader.releaseLock();
  assert.deepEqual(await readAll(stream, { limit: 9 }), Uint8Array.of(1, 2));
  assert.deepEqual(await readAll(await readAhead(streamOf()), { limit: 0 }), new Uint8Array(0));
});

test("readAhead() fails with what the first chunk fails with, and passes a cancel on", async () => {
  const broken = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(new Error("broken")) });
  await assert.rejects(readAhead(broken), /broken/);
  let reason: unknown;
  const source = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(Uint8Array.of(1)),
    cancel: (why) => void (reason = why),
  });
  await (await readAhead(source)).cancel("enough");
  assert.equal(reason, "enough");
});

test("readAll() copies chunks of a reused buffer", async () => {
  const buffer = new Uint8Array(2);
  let sent = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (sent === 3) return controller.close();
      buffer.fill(sent++);
      controller.enqueue(buffer);
    },
  }, { highWaterMark: 0 });
  assert.deepEqual(await readAll(stream, { limit: 6 }), new Uint8Array([0, 0, 1, 1, 2, 2]));
});

test("readAll() stops at its limit and cancels the source", async () => {
  let cancelled = false;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(10)),
    cancel: () => void (cancelled = true),
  }, { highWaterMark: 0 });
  await assert.rejects(readAll(endless, { limit: 25 }), /longer than 25 bytes/);
  assert.ok(cancelled);
});

test("streamOf() gives its chunks one by one, when asked", async () => {
  assert.deepEqual(await readAll(streamOf(), { limit: 0 }), new Uint8Array(0));
  const chunks = [new Uint8Array([1]), new Uint8Array(0), new Uint8Array([2, 3])];
  const seen: Uint8Array[] = [];
  for await (const chunk of streamOf(...chunks)) seen.push(chunk);
  assert.deepEqual(seen, chunks);
});
