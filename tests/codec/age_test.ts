import assert from "node:assert/strict";
import { test } from "node:test";
import { equalBytes, readAll, streamOf } from "../../src/bytes.ts";
import type { Cipher } from "../../src/cipher.ts";
import { createAgeCipher, parseIdentities, parseRecipients } from "../../src/codec/age.ts";
import {
  decodeObject,
  decodeObjectBytes,
  encodeObject,
  encodeObjectBytes,
  readNote,
} from "../../src/codec/object.ts";
import { unseal, unsealBytes } from "../../src/codec/sealed.ts";
import { describeError, EncryptionError } from "../../src/errors.ts";
import { ageDecrypt, ageEncrypt, cipherFor, cipherOf, makeAgeKey } from "../age.ts";
import { recordFigure } from "../figures.ts";
import { runScript } from "../script.ts";
import { KIB, lz4, MIB, noise, pages, pieces, SEGMENT_NOTE, text } from "./samples.ts";

const LIMIT = { limit: 64 * MIB };
const KEY = makeAgeKey();
const OTHER = makeAgeKey();
/** Around the edges of age's chunks, and of more than one block. */
const SIZES = [0, 1, 1000, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB, 4 * MIB + 1];

const CIPHER = cipherFor(KEY);

/** The failure of `act`, which must be one. */
async function failureOf(act: () => Promise<unknown>): Promise<Error> {
  const outcome = await act().then(() => undefined, (error: unknown) => error);
  assert.ok(outcome instanceof Error, "nothing failed");
  return outcome;
}

async function encrypted(plain: Uint8Array, pieceSize = 5000): Promise<Uint8Array<ArrayBuffer>> {
  return await readAll(CIPHER.encrypt(pieces(plain, pieceSize)), LIMIT);
}

test("createAgeCipher() gives no cipher without keys", () => {
  assert.equal(createAgeCipher({}), undefined);
  assert.equal(createAgeCipher({ recipients: [], identities: [] }), undefined);
});

test("createAgeCipher() says what it can do with the keys it has", () => {
  const can = ({ canEncrypt, canDecrypt }: Cipher) => [canEncrypt, canDecrypt];
  assert.deepEqual(can(CIPHER), [true, true]);
  assert.deepEqual(can(cipherOf({ recipients: [KEY.recipient] })), [true, false]);
  assert.deepEqual(can(cipherOf({ identities: [KEY.identity] })), [false, true]);
});

test("parseRecipients() takes several, one a line, and passes over blank lines and remarks", () => {
  const lines = `# ours\n\n${KEY.recipient}\r\n#\n${OTHER.recipient}\n`;
  assert.deepEqual(parseRecipients(lines), [KEY.recipient, OTHER.recipient]);
});

test("parseIdentities() takes what age-keygen writes", () => {
  const lines = `# created: 2026-01-01\n# public key: ${KEY.recipient}\n${KEY.identity}\n\n${OTHER.identity}`;
  assert.deepEqual(parseIdentities(lines), [KEY.identity, OTHER.identity]);
});

/** The same text with its last letter exchanged. */
function mistyped(key: string): string {
  const other = key.endsWith("q") || key.endsWith("Q") ? "p" : "q";
  return key.slice(0, -1) + (key.startsWith("age") ? other : other.toUpperCase());
}

test("parseRecipients() refuses what is no X25519 recipient, by its line", () => {
  const cases: [string, string][] = [
    ["", "no recipients found"],
    ["# none\n\n", "no recipients found"],
    ["age1", "malformed recipient at line 1"],
    [`${KEY.recipient}\n${mistyped(KEY.recipient)}`, "malformed recipient at line 2"],
    [KEY.recipient.toUpperCase(), "malformed recipient at line 1"],
    [` ${KEY.recipient}`, "malformed recipient at line 1"],
    [`#\n${KEY.identity}`, "malformed recipient at line 2"],
    [
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN",
      "malformed recipient at line 1",
    ],
    [`age1pq1${"q".repeat(1950)}`, "malformed recipient at line 1"],
  ];
  for (const [lines, message] of cases) assert.throws(() => parseRecipients(lines), { message });
});

test("parseIdentities() refuses what is no X25519 identity, by its line and without a word of it", () => {
  const expected = "AGE-SECRET-KEY-1 and 58 capital letters and digits are expected";
  const cases: [string, string][] = [
    ["", "no secret keys found"],
    ["# none\n", "no secret keys found"],
    [KEY.recipient, `error at line 1: malformed secret key: ${expected}`],
    [KEY.identity.toLowerCase(), `error at line 1: malformed secret key: ${expected}`],
    [`\n${KEY.identity.slice(0, -1)}`, `error at line 2: malformed secret key: ${expected}`],
    [
      mistyped(KEY.identity),
      "error at line 1: malformed secret key: a typing mistake, the checksum is wrong",
    ],
  ];
  for (const [lines, message] of cases) assert.throws(() => parseIdentities(lines), { message });
});

test("encrypt() writes what the age program decrypts, at every edge of a chunk", async () => {
  for (const size of SIZES) {
    const plain = noise(size, size);
    for (const stored of [await encrypted(plain), await CIPHER.encryptBytes(plain)]) {
      assert.ok(equalBytes(ageDecrypt(stored, KEY), plain), `size ${size}`);
    }
  }
});

test("decrypt() reads what the age program encrypts, at every edge of a chunk", async () => {
  for (const size of SIZES) {
    const plain = noise(size, size);
    const stored = ageEncrypt(plain, { recipients: [OTHER.recipient, KEY.recipient] });
    const streamed = await readAll(CIPHER.decrypt(pieces(stored, 3000)), LIMIT);
    assert.ok(equalBytes(streamed, plain), `size ${size}`);
    assert.ok(equalBytes(await CIPHER.decryptBytes(stored), plain), `size ${size}`);
  }
});

test("decrypt() takes a source of single bytes whose memory is used again", async () => {
  const plain = noise(70_000, 1);
  const stored = await encrypted(plain, 1);
  assert.deepEqual(await readAll(CIPHER.decrypt(pieces(stored, 1)), LIMIT), plain);
});

test("encrypt() for several recipients can be read by each of them", async () => {
  const both = cipherOf({ recipients: [`${KEY.recipient}\n${OTHER.recipient}`] });
  const stored = await both.encryptBytes(text(1000, 1));
  for (const { identity } of [KEY, OTHER]) {
    const alone = cipherOf({ identities: [makeAgeKey().identity, identity] });
    assert.deepEqual(await alone.decryptBytes(stored), text(1000, 1));
    assert.deepEqual(ageDecrypt(stored, { identity }), text(1000, 1));
  }
});

test("encrypt() passes on what its source fails with, and a cancel", async () => {
  const failure = new Error("source is gone");
  const failing = () => {
    let count = 0;
    return new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (count++ > 3) throw failure;
        controller.enqueue(noise(40_000, 1));
      },
    }, { highWaterMark: 0 });
  };
  assert.equal(await failureOf(() => readAll(CIPHER.encrypt(failing()), LIMIT)), failure);
  let reason: unknown;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(noise(1000, 1)),
    cancel: (given) => void (reason = given),
  }, { highWaterMark: 0 });
  const reader = CIPHER.encrypt(endless).getReader();
  await reader.read();
  await reader.cancel("enough");
  assert.equal(reason, "enough");
});

test("unseal() passes a cancel on to its source, before and after the first chunk", async () => {
  const stored = await encrypted(noise(200_000, 1));
  for (const isRead of [false, true]) {
    let reason: unknown;
    const source = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(stored.slice()),
      cancel: (given) => void (reason = given),
    }, { highWaterMark: 0 });
    const reader = unseal(source, CIPHER).getReader();
    if (isRead) assert.ok((await reader.read()).value!.length > 0);
    await reader.cancel("enough");
    assert.equal(reason, "enough", `read: ${isRead}`);
  }
});

test("decrypt() passes on what its source fails with, which is no damage", async () => {
  const stored = await encrypted(noise(200_000, 1));
  for (const end of [0, 10, 150, 100_000]) {
    const failure = new Error("connection lost");
    let at = 0;
    const source = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (at >= end) throw failure;
        controller.enqueue(stored.slice(at, Math.min(end, at + 1000)));
        at += 1000;
      },
    }, { highWaterMark: 0 });
    assert.equal(await failureOf(() => readAll(CIPHER.decrypt(source), LIMIT)), failure);
  }
});

test("encrypt() and decrypt() read nothing before they are read", async () => {
  let pullCount = 0;
  const source = () =>
    new ReadableStream<Uint8Array>({
      pull: (controller) => {
        pullCount++;
        controller.close();
      },
    }, { highWaterMark: 0 });
  const streams = [CIPHER.encrypt(source()), CIPHER.decrypt(source())];
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(pullCount, 0);
  for (const stream of streams) await stream.cancel();
});

test("a cipher without recipients refuses to encrypt and says what to add", async () => {
  const reading = cipherOf({ identities: [KEY.identity] });
  for (
    const act of [
      () => reading.encryptBytes(noise(10, 1)),
      () => readAll(reading.encrypt(streamOf(noise(10, 1))), LIMIT),
    ]
  ) {
    const error = await failureOf(act);
    assert.ok(error instanceof EncryptionError);
    assert.match(error.message, /add age\.recipients/);
  }
});

test("an encrypted object is one age file around note and LZ4 frame: age -d, lz4 -d (case 69)", async () => {
  const raw = pages(5 * MIB, 3);
  const stored = await readAll(
    CIPHER.encrypt(encodeObject(pieces(raw, 100_000), { note: SEGMENT_NOTE })),
    LIMIT,
  );
  assert.equal(new TextDecoder().decode(stored.subarray(0, 22)), "age-encryption.org/v1\n");
  assert.ok(equalBytes(lz4(["-d", "-c"], ageDecrypt(stored, KEY)), raw));
  const object = await decodeObject(pieces(stored, 7777), { cipher: CIPHER });
  assert.deepEqual(object.note, SEGMENT_NOTE);
  assert.ok(equalBytes(await readAll(object.raw, LIMIT), raw));
});

test("256 MB pass through note, LZ4 and age and back in flat memory", async () => {
  // What other tests have left in this process is none of its memory.
  const { megabytes = 0, rate = 0 } = await runScript("tests/codec/age_memory.ts");
  recordFigure("age: 256 MiB both ways, MB/s", rate);
  recordFigure("age: 256 MiB both ways, MB of memory", megabytes);
  assert.ok(megabytes > 0 && megabytes < 110, `memory grew by ${megabytes} MB`);
});

test("readNote() reads the note of an encrypted object of which only the start is there", async () => {
  const plain = encodeObjectBytes(noise(300_000, 5), { note: SEGMENT_NOTE });
  const stored = await encrypted(plain);
  const { note } = await readNote(streamOf(stored.slice(0, 128 * KIB)), { cipher: CIPHER });
  assert.deepEqual(note, SEGMENT_NOTE);
});

/** An object, read in both ways. */
const READERS: Readonly<
  Record<string, (stored: Uint8Array, cipher: Cipher | undefined) => Promise<unknown>>
> = {
  "decodeObject()": async (stored, cipher) => {
    await readAll((await decodeObject(streamOf(stored), { cipher })).raw, LIMIT);
  },
  "unsealBytes()": async (stored, cipher) => decodeObjectBytes(await unsealBytes(stored, cipher)),
};

for (const [name, read] of Object.entries(READERS)) {
  test(`${name} names keys that don't fit an object`, async () => {
    const plain = encodeObjectBytes(text(1000, 1));
    const stored = await encrypted(plain);
    const cases: [Uint8Array, Cipher | undefined, RegExp][] = [
      [
        stored,
        cipherOf({ identities: [OTHER.identity] }),
        /none of the configured age identities can read it/,
      ],
      [stored, undefined, /encrypted with age, and no identity is configured/],
      [
        stored,
        cipherOf({ recipients: [KEY.recipient] }),
        /encrypted with age, and no identity is configured/,
      ],
      [plain, CIPHER, /not encrypted, while age keys are configured/],
    ];
    for (const [bytes, cipher, message] of cases) {
      const error = await failureOf(() => read(bytes, cipher));
      assert.ok(error instanceof EncryptionError, String(error));
      assert.match(error.message, message);
      assert.doesNotMatch(describeError(error), /AGE-SECRET/);
    }
    await read(plain, cipherOf({ recipients: [KEY.recipient] }));
    await read(stored, CIPHER);
  });

  test(`${name} refuses an encrypted object that is cut short or has one changed bit, at every byte`, async () => {
    const stored = await encrypted(encodeObjectBytes(text(60, 1), { note: SEGMENT_NOTE }));
    for (let at = 0; at < stored.length; at++) {
      const cut = await failureOf(() => read(stored.slice(0, at), CIPHER));
      assert.doesNotMatch(cut.message, /not encrypted/, `cut at ${at}`);
      const flipped = stored.slice();
      flipped[at]! ^= 1 << at % 8;
      await failureOf(() => read(flipped, CIPHER));
    }
    await failureOf(() => read(Uint8Array.of(...stored, 0), CIPHER));
    await read(stored, CIPHER);
  });
}
