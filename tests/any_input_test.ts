/**
 * Whatever comes in from outside, random or damaged: an error in words or a result, never a crash of another kind, no
 * hang, and no memory beyond what the input can justify. YAML has its own file, tests/config/any_input_test.ts.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { readAll, streamOf } from "../src/bytes.ts";
import { decodeNote } from "../src/codec/note.ts";
import { decodeObject, decodeObjectBytes, encodeObjectBytes } from "../src/codec/object.ts";
import { unsealBytes } from "../src/codec/sealed.ts";
import { isReplicaUrl, parseReplicaUrl, parseSupportedReplicaUrl } from "../src/storage/replica_url.ts";
import {
  parseCompletion,
  parseDeleteResult,
  parseErrorDocument,
  parseListing,
  parsePendingUploads,
  parseUploadId,
} from "../src/storage/s3/answers.ts";
import { parseXml } from "../src/storage/s3/xml.ts";
import { FrameChecker } from "../src/wal/frame_checker.ts";
import { parseWalHeader } from "../src/wal/header.ts";
import { parseWalIndex, WAL_INDEX_SIZE } from "../src/wal/wal_index.ts";
import { cipherFor, makeAgeKey } from "./age.ts";
import { noise, SEGMENT_NOTE, text } from "./codec/samples.ts";
import { makeWal } from "./wal/made_wal.ts";

const SEED = Date.now() % 2 ** 31;

/** What a parser of any kind may throw: one line of words, none of the language's own accidents. */
function assertNamed(error: unknown): void {
  assert.ok(error instanceof Error, String(error));
  for (const accident of [TypeError, RangeError, ReferenceError, SyntaxError]) {
    assert.ok(!(error instanceof accident), error.stack);
  }
  assert.notEqual(error.message, "");
}

function survives(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    assertNamed(error);
  }
}

/** `bytes` with some of them changed, cut off, doubled or left out. */
function damaged(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const place = fc.nat(Math.max(0, bytes.length - 1));
  const step = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), at: place, value: fc.nat(255) }),
    fc.record({ kind: fc.constant("cut" as const), at: place, value: fc.nat(40) }),
    fc.record({ kind: fc.constant("leave out" as const), at: place, value: fc.nat(40) }),
    fc.record({ kind: fc.constant("double" as const), at: place, value: fc.nat(40) }),
  );
  return fc.array(step, { minLength: 1, maxLength: 4 }).map((steps) => {
    let made = [...bytes];
    for (const { kind, at, value } of steps) {
      if (kind === "set" && at < made.length) made[at] = value;
      if (kind === "cut") made = made.slice(0, at);
      if (kind === "leave out") made.splice(at, value);
      if (kind === "double") made.splice(at, 0, ...made.slice(at, at + value));
    }
    return Uint8Array.from(made);
  });
}

function anyBytes(...models: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc.oneof(fc.uint8Array({ maxLength: 400 }), ...models.map(damaged));
}

const OBJECTS = [text(3000, 1), noise(600, 2), new Uint8Array(70_000)]
  .map((raw) => encodeObjectBytes(raw, { note: SEGMENT_NOTE }));

test("decodeObjectBytes() and decodeObject() survive any bytes, agree, and never make up content", async () => {
  await fc.assert(
    fc.asyncProperty(anyBytes(...OBJECTS), async (stored) => {
      let whole: Uint8Array | undefined;
      let failure: unknown;
      try {
        whole = decodeObjectBytes(stored).raw.slice();
      } catch (error) {
        failure = error;
        assertNamed(error);
      }
      // At most 255 times as much as came in, and one block's buffer.
      const streamed = await decodeObject(streamOf(stored))
        .then(({ raw }) => readAll(raw, { limit: stored.length * 255 + 1024 })).catch((error) => {
          assertNamed(error);
          return undefined;
        });
      assert.equal(streamed === undefined, whole === undefined, String(failure));
      if (whole !== undefined) assert.deepEqual(streamed, whole);
    }),
    { seed: SEED, numRuns: 400 },
  );
});

test("decodeObjectBytes() never takes a changed byte of the content for the truth", () => {
  const raw = text(3000, 1);
  const stored = OBJECTS[0]!;
  fc.assert(
    fc.property(fc.nat(stored.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bytes = stored.slice();
      bytes[at]! ^= change;
      let decoded;
      try {
        decoded = decodeObjectBytes(bytes);
      } catch (error) {
        assertNamed(error);
        return;
      }
      // A note that is damaged leaves the content alone.
      assert.deepEqual(decoded.raw, raw);
    }),
    { seed: SEED, numRuns: 400 },
  );
});

test("decodeNote() survives any payload", () => {
  const payload = OBJECTS[0]!.subarray(8, 8 + 72);
  fc.assert(fc.property(anyBytes(payload), (bytes) => survives(() => decodeNote(bytes))), { seed: SEED });
});

const KEY = makeAgeKey();
const CIPHER = cipherFor(KEY);

test("unsealBytes() survives any bytes, and gives nothing that was changed", async () => {
  const plain = text(2000, 3);
  const sealed = await CIPHER.encryptBytes(plain);
  await fc.assert(
    fc.asyncProperty(anyBytes(sealed), async (bytes) => {
      const opened = await unsealBytes(bytes, CIPHER).catch((error) => {
        assertNamed(error);
        return undefined;
      });
      if (opened !== undefined) assert.deepEqual(opened, plain);
    }),
    { seed: SEED, numRuns: 60 },
  );
});

const WAL = makeWal({
  pageSize: 512,
  frames: [{ pageNumber: 1 }, { pageNumber: 2, pageCount: 2 }, { pageNumber: 1, pageCount: 2 }],
});

test("parseWalHeader(), parseWalIndex() and FrameChecker survive any bytes", () => {
  fc.assert(
    fc.property(anyBytes(WAL), fc.integer({ min: 1, max: 700 }), (bytes, step) => {
      survives(() => parseWalHeader(bytes));
      survives(() => {
        const checker = new FrameChecker();
        for (let at = 0; at < bytes.length; at += step) checker.accept(bytes.subarray(at, at + step));
        checker.end();
      });
    }),
    { seed: SEED, numRuns: 300 },
  );
  const index = fc.uint8Array({ minLength: WAL_INDEX_SIZE, maxLength: WAL_INDEX_SIZE });
  fc.assert(fc.property(index, (bytes) => survives(() => parseWalIndex(bytes))), { seed: SEED });
});

const LISTING =
  `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>b</Name><IsTruncated>true</IsTruncated>
  <NextContinuationToken>t</NextContinuationToken><Contents><Key>a%2Fb</Key><Size>12</Size>
  <LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>
  </ListBucketResult>`;

const XML_PARSERS = [
  parseXml,
  parseListing,
  parseDeleteResult,
  parseUploadId,
  parseCompletion,
  parsePendingUploads,
  parseErrorDocument,
] as const;

test("parseXml() and the readers of S3's answers survive any text", () => {
  const encoded = new TextEncoder().encode(LISTING);
  const piece = fc.constantFrom(
    "<a>",
    "</a>",
    "<b/>",
    "&amp;",
    "&x;",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?",
    "\0",
  );
  const texts = fc.oneof(
    anyBytes(encoded).map((bytes) => new TextDecoder().decode(bytes)),
    fc.string({ unit: "binary", maxLength: 200 }),
    fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(texts, (document) => {
      for (const parse of XML_PARSERS) survives(() => parse(document));
    }),
    { seed: SEED, numRuns: 400 },
  );
  const bomb = `<!DOCTYPE a [<!ENTITY x "${"y".repeat(100)}">]><a>${"&x;".repeat(1000)}</a>`;
  for (const text of ["<a>".repeat(100_000), `<a>${"&#65;".repeat(200_000)}</a>`, bomb]) {
    for (const parse of XML_PARSERS) survives(() => parse(text));
  }
});

test("parseReplicaUrl() survives any text", () => {
  const piece = fc.constantFrom(
    "s3",
    "file",
    "://",
    "/",
    ":",
    "@",
    "%",
    "%2",
    "%zz",
    "?",
    "#",
    "[",
    "]",
    "..",
    "b",
    " ",
  );
  const texts = fc.oneof(
    fc.string({ unit: "binary", maxLength: 100 }),
    fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join("")),
    fc.webUrl(),
  );
  fc.assert(
    fc.property(texts, (url) => {
      survives(() => isReplicaUrl(url));
      survives(() => parseReplicaUrl(url));
      survives(() => parseSupportedReplicaUrl(url));
    }),
    { seed: SEED, numRuns: 1000 },
  );
});
