/**
 * Whatever comes in from outside, random or damaged: an error in words or a result, never a crash of another kind, no
 * hang, and no memory beyond what the input can justify. YAML has its own file, tests/config/any_input_test.ts.
 */
import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { readAll, streamOf } from "../src/bytes.ts";
import { parseIdentities, parseRecipients } from "../src/codec/age.ts";
import { decodeNote } from "../src/codec/note.ts";
import { decodeObject, decodeObjectBytes, encodeObjectBytes } from "../src/codec/object.ts";
import { unsealBytes } from "../src/codec/sealed.ts";
import { parseSegmentName, parseSnapshotName, segmentKey, snapshotKey } from "../src/storage/keys.ts";
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

/** Far above what small input takes, on a machine that does ten other things. */
const LIMIT_MS = 20_000;

function survives(act: () => unknown): void {
  const startedAt = performance.now();
  try {
    act();
  } catch (error) {
    assertNamed(error);
  }
  assert.ok(performance.now() - startedAt < LIMIT_MS, `took ${performance.now() - startedAt} ms`);
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

test("decodeObject() and unsealBytes() read no age header without an end", async () => {
  const start = "age-encryption.org/v1\n";
  const endless = {
    "a line": [`${start}-> X25519 `, "a"],
    "stanzas": [start, "-> X25519 aaaa\nbbbb\n"],
    "a body": [`${start}-> X25519 aaaa\n`, `${"a".repeat(64)}\n`],
    "dashes": [start, "\n--"],
  } as const;
  for (const [what, [head, unit]] of Object.entries(endless)) {
    let readBytes = 0;
    const chunk = new TextEncoder().encode(unit.repeat(1000));
    const source = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode(head)),
      pull(controller) {
        readBytes += chunk.length;
        if (readBytes > 64e6) controller.close();
        else controller.enqueue(chunk.slice());
      },
    }, { highWaterMark: 0 });
    await assert.rejects(decodeObject(source, { cipher: CIPHER }), /the age file is damaged/, what);
    assert.ok(readBytes < 1e6, `${what}: ${readBytes} bytes were read`);
    const whole = new TextEncoder().encode(head + unit.repeat(500_000 / unit.length));
    await assert.rejects(unsealBytes(whole, CIPHER), /the age file is damaged/, what);
  }
});

test("parseRecipients() and parseIdentities() survive any text, and show none of it", () => {
  const keys = `# mine\n${KEY.recipient}\n${KEY.identity}\n`;
  const line = fc.oneof(
    fc.constantFrom(KEY.recipient, KEY.identity, "", "# x", "\r", "age1", "AGE-SECRET-KEY-1"),
    fc.string({ unit: "binary", minLength: 12, maxLength: 100 }),
    damaged(new TextEncoder().encode(keys)).map((bytes) => new TextDecoder().decode(bytes)),
  );
  const texts = fc.array(line, { maxLength: 6 }).map((lines) => lines.join("\n"));
  fc.assert(
    fc.property(texts, (text) => {
      for (const parse of [parseRecipients, parseIdentities]) {
        try {
          for (const key of parse(text)) assert.ok(text.includes(key));
        } catch (error) {
          assertNamed(error);
          const { message } = error as Error;
          const shown = text.split(/\r?\n/).filter((line) => line.length > 20 && message.includes(line));
          assert.deepEqual(shown, []);
        }
      }
    }),
    { seed: SEED, numRuns: 400 },
  );
});

test("parseSegmentName() and parseSnapshotName() take any text, and only names that lead back to it", () => {
  const digits = fc.stringMatching(/^[0-9a-f]{7,17}$/);
  const names = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.tuple(digits, digits).map(([index, offset]) => `${index}_${offset}.wal.lz4`),
    digits.map((index) => `${index}.snapshot.lz4`),
    damaged(new TextEncoder().encode("00000001_00001000.wal.lz4")).map((bytes) =>
      new TextDecoder().decode(bytes)
    ),
  );
  const generation = "0123456789abcdef";
  fc.assert(
    fc.property(names, (name) => {
      const segment = parseSegmentName(name);
      if (segment !== undefined) {
        const { index, offset } = segment;
        const [indexText, offsetText] = name.split(/[_.]/);
        assert.deepEqual([Number.parseInt(indexText!, 16), Number.parseInt(offsetText!, 16)], [
          index,
          offset,
        ]);
        segmentKey({ generation, index, offset });
      }
      const index = parseSnapshotName(name);
      if (index !== undefined) assert.ok(snapshotKey({ generation, index }).endsWith(`/${name}`));
    }),
    { seed: SEED, numRuns: 2000 },
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
