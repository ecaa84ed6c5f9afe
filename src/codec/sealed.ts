/** The outermost layer of a stored object: encrypted as the replica's keys say, or named as what it is instead. */
import { concatBytes } from "../bytes.ts";
import type { Cipher } from "../cipher.ts";
import { EncryptionError } from "../errors.ts";

/** How every encrypted object begins. */
const AGE_HEAD = new TextEncoder().encode("age-encryption.org/");

/** Bytes from the start of an object from which `isSealed()` can tell. */
export const SEAL_SIZE: number = AGE_HEAD.length;

/** Whether an object that begins with `head` is encrypted, as far as that many bytes tell. */
export function isSealed(head: Uint8Array): boolean {
  return AGE_HEAD.subarray(0, head.length).every((byte, at) => head[at] === byte);
}

/** The error for a plain object where there should be an encrypted one. */
export function notSealed(): EncryptionError {
  return new EncryptionError(
    "it is not encrypted, while age keys are configured: give the encrypted replica a place of its own, " +
      "or leave the keys out to read this one",
  );
}

/** The error for an encrypted object where there are no keys to read with. */
export function noIdentity(): EncryptionError {
  return new EncryptionError(
    "it is encrypted with age, and no identity is configured that could read it: add age.identities",
  );
}

/**
 * Check by its first bytes that an object is encrypted where new ones will be, and plain where they will not.
 *
 * @throws {EncryptionError} otherwise: the two together in one generation can't be restored
 */
export function requireSameSeal(head: Uint8Array, cipher: Cipher | undefined): void {
  if (cipher === undefined && head.length > 0 && isSealed(head)) throw noIdentity();
  if (cipher !== undefined && !isSealed(head)) throw notSealed();
}

/** Whether objects are decrypted with `cipher`: with keys to write alone they are not. */
function reads(cipher: Cipher | undefined): cipher is Cipher {
  return cipher?.canDecrypt === true;
}

/**
 * What is inside `stored`, which is `stored` itself when there are no keys to read with. Nothing is read before the
 * first chunk is asked for, and then it fails with an `EncryptionError` when the object is plain; otherwise see
 * `Cipher`.
 */
export function unseal(
  stored: ReadableStream<Uint8Array>,
  cipher: Cipher | undefined,
): ReadableStream<Uint8Array> {
  if (!reads(cipher)) return stored;
  const source = stored.getReader();
  let opened: ReadableStreamDefaultReader<Uint8Array> | undefined;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      opened ??= cipher.decrypt(await sealedBytes(source)).getReader();
      const { done, value } = await opened.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => (opened ?? source).cancel(reason),
  }, { highWaterMark: 0 });
}

/** The same bytes as a stream, once their start is seen to be that of an encrypted object. */
async function sealedBytes(
  source: ReadableStreamDefaultReader<Uint8Array>,
): Promise<ReadableStream<Uint8Array>> {
  let head: Uint8Array | undefined = new Uint8Array(0);
  while (head.length < SEAL_SIZE) {
    const { done, value } = await source.read();
    if (done) break;
    // Joined in memory of their own: that of a chunk may be used again for the next one.
    head = head.length === 0 && value.length >= SEAL_SIZE ? value : concatBytes([head, value]);
  }
  if (!isSealed(head)) {
    const error = notSealed();
    await source.cancel(error).catch(() => {});
    throw error;
  }
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = head === undefined ? await source.read() : { done: false, value: head };
      head = undefined;
      if (done || value === undefined) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => source.cancel(reason),
  }, { highWaterMark: 0 });
}

/** As `unseal()`, of a whole object at once. */
export async function unsealBytes(stored: Uint8Array, cipher: Cipher | undefined): Promise<Uint8Array> {
  if (!reads(cipher)) return stored;
  if (!isSealed(stored)) throw notSealed();
  return await cipher.decryptBytes(stored);
}
