import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex, viewOf } from "../../src/bytes.ts";
import { xxHash32 } from "../../src/codec/lz4_kernel.ts";
import { decodeNote, encodeNote } from "../../src/codec/note.ts";
import type { Note } from "../../src/codec/note.ts";
import { SEGMENT_NOTE, SNAPSHOT_NOTE } from "./samples.ts";

const NOTES: Readonly<Record<string, Note>> = {
  segment: SEGMENT_NOTE,
  "first segment": { ...SEGMENT_NOTE, offset: 0, previousEnd: SNAPSHOT_NOTE.previousEnd },
  snapshot: SNAPSHOT_NOTE,
  "first snapshot": {
    kind: "snapshot",
    generation: "0000000000000000",
    index: 0,
    offset: 0,
    newestCommitAt: new Date(0),
    pageSize: 512,
    pageCount: 1,
  },
};

/** The payload of a note with `change` made to it and its checksum made right again. */
function changed(note: Note, change: (view: DataView) => void): Uint8Array {
  const payload = encodeNote(note).slice(8);
  const view = viewOf(payload);
  change(view);
  view.setUint32(payload.length - 4, xxHash32(payload.subarray(0, payload.length - 4)), true);
  return payload;
}

test("encodeNote() writes the byte table of a segment", () => {
  assert.equal(
    toHex(encodeNote(SEGMENT_NOTE).subarray(0, 44)),
    "5b2a4d18" + "28000000" + "5742524b" + "01" + "01" + "0000" + "0123456789abcdef" + "07000000" +
      "2000000001000000" + "71323db79c010000",
  );
  assert.equal(encodeNote(SEGMENT_NOTE).length, 48);
});

test("encodeNote() writes the byte table of a snapshot with the end before it", () => {
  const frame = encodeNote(SNAPSHOT_NOTE);
  assert.equal(frame.length, 84);
  assert.equal(
    toHex(frame.subarray(4, 80)),
    "4c000000" + "5742524b" + "01" + "02" + "0100" + "fedcba9876543210" + "ffffff7f" + "3810000000000000" +
      "71323db79c010000" + "00000100" + "39300000" +
      "feffff7f" + "4000000002000000" + "843e2fdc" + "d3880454" + "ffffffff" + "00000000",
  );
  assert.equal(viewOf(frame).getUint32(80, true), xxHash32(frame.subarray(8, 80)));
});

test("decodeNote() gives back every kind of note", () => {
  for (const [name, note] of Object.entries(NOTES)) {
    const decoded = decodeNote(encodeNote(note).subarray(8));
    // Not strict about keys that are absent or undefined.
    assert.deepEqual({ previousEnd: undefined, ...decoded.note }, { previousEnd: undefined, ...note }, name);
    assert.equal(decoded.damage, undefined, name);
  }
});

test("decodeNote() passes over what is not ours and what is newer", () => {
  const none = { note: undefined, damage: undefined };
  assert.deepEqual(decodeNote(new Uint8Array(0)), none);
  assert.deepEqual(decodeNote(Uint8Array.of(0x57, 0x42, 0x52)), none);
  assert.deepEqual(
    decodeNote(new TextEncoder().encode("somebody else's frame of many bytes, not ours")),
    none,
  );
  assert.deepEqual(decodeNote(changed(SEGMENT_NOTE, (view) => view.setUint8(4, 2))), none);
});

test("decodeNote() calls a note damaged whose checksum, kind, flags or length is wrong", () => {
  const payload = encodeNote(SNAPSHOT_NOTE).slice(8);
  const flipped = payload.slice();
  flipped[30] = (flipped[30] ?? 0) ^ 1;
  const cases: [string, Uint8Array][] = [
    ["flipped", flipped],
    ["cut", payload.subarray(0, payload.length - 1)],
    ["tag and version alone", payload.subarray(0, 5)],
    ["version 0", changed(SEGMENT_NOTE, (view) => view.setUint8(4, 0))],
    ["kind 0", changed(SEGMENT_NOTE, (view) => view.setUint8(5, 0))],
    ["kind 3", changed(SEGMENT_NOTE, (view) => view.setUint8(5, 3))],
    ["a snapshot as long as a segment", changed(SEGMENT_NOTE, (view) => view.setUint8(5, 2))],
    ["a flag without what it says", changed(SEGMENT_NOTE, (view) => view.setUint16(6, 1, true))],
    ["an unknown flag", changed(SEGMENT_NOTE, (view) => view.setUint16(6, 2, true))],
    ["a time that is none", changed(SEGMENT_NOTE, (view) => view.setBigInt64(28, 2n ** 62n, true))],
    ["an offset past all files", changed(SEGMENT_NOTE, (view) => view.setBigUint64(20, 2n ** 60n, true))],
  ];
  for (const [name, bytes] of cases) {
    const { note, damage } = decodeNote(bytes);
    assert.equal(note, undefined, name);
    assert.match(damage ?? "", /^note /, name);
  }
});

test("decodeNote() never takes a flipped byte for a note", () => {
  for (const note of Object.values(NOTES)) {
    const payload = encodeNote(note).slice(8);
    for (let at = 0; at < payload.length; at++) {
      for (let flip = 1; flip < 256; flip++) {
        const copy = payload.slice();
        copy[at] = (copy[at] ?? 0) ^ flip;
        assert.equal(decodeNote(copy).note, undefined, `byte ${at} ^ ${flip}`);
      }
    }
  }
});
