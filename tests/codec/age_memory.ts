/**
 * Sends 256 MiB through note, LZ4 and age and back, and prints how fast, in MB/s, and by how many MB the memory of the
 * process grew meanwhile, as JSON.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { decodeObject, encodeObject } from "../../src/codec/object.ts";
import { cipherFor, makeAgeKey } from "../age.ts";
import { MIB, SEGMENT_NOTE, text } from "./samples.ts";

const size = 256 * MIB;
const block = text(MIB, 9);
let left = size;
const reused = new Uint8Array(MIB);
const raw = new ReadableStream<Uint8Array>({
  pull(controller) {
    if (left === 0) return controller.close();
    left -= MIB;
    reused.set(block);
    controller.enqueue(reused);
  },
}, { highWaterMark: 0 });
const cipher = cipherFor(makeAgeKey());
const object = await decodeObject(cipher.encrypt(encodeObject(raw, { note: SEGMENT_NOTE })), { cipher });
const startedAt = performance.now();
const before = process.memoryUsage.rss();
let [count, peak, lookedAt] = [0, before, 0];
for await (const chunk of object.raw) {
  assert.equal(chunk[0], block[count % MIB]);
  count += chunk.length;
  if (count - lookedAt < 4 * MIB) continue;
  lookedAt = count;
  peak = Math.max(peak, process.memoryUsage.rss());
}
assert.equal(count, size);
const rate = Math.round(size / 1e3 / (performance.now() - startedAt));
console.log(JSON.stringify({ rate, megabytes: Math.round((peak - before) / 1e6) }));
