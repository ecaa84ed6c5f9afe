/**
 * Encryption with age, outermost around an object: binary files of `age-encryption.org/v1` with X25519 keys, as
 * Litestream and the `age` program write and read them.
 *
 * @see https://age-encryption.org/v1
 */
import { Decrypter, Encrypter } from "age-encryption";
import type { Cipher } from "../cipher.ts";
import { describeError, EncryptionError } from "../errors.ts";

/** The keys of a replica; each text holds one or more, one a line. */
export interface AgeKeys {
  /** `age1…`: each of them will be able to read what is written. */
  readonly recipients?: readonly string[] | undefined;
  /** `AGE-SECRET-KEY-1…`: what any of them was written for can be read. */
  readonly identities?: readonly string[] | undefined;
}

const RECIPIENT = /^age1[02-9ac-hj-np-z]{58}$/;
const IDENTITY = /^AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}$/;

/** Plain bytes that are handed to the library at once: other work of the program runs between pieces. */
const PIECE_SIZE = 64 * 1024;

/** The longest header that is read: some thousand recipients. The library itself would read on to any end. */
const HEADER_LIMIT = 256 * 1024;

/** How the last line of a header begins. */
const LAST_LINE = new TextEncoder().encode("\n--- ");

/** What the library says when no key fits. */
const NO_MATCH = "no identity matched any of the file's recipients";

/**
 * The cipher for `keys`; `undefined` when there are none.
 *
 * @throws {Error} with age's words for a text that isn't keys; no message shows a key
 */
export function createAgeCipher({ recipients = [], identities = [] }: AgeKeys): Cipher | undefined {
  if (recipients.length === 0 && identities.length === 0) return undefined;
  return new AgeCipher({
    recipients: recipients.flatMap(parseRecipients),
    identities: identities.flatMap(parseIdentities),
  });
}

/**
 * The recipients in `text`; blank lines and lines that begin with `#` are passed over.
 *
 * @throws {Error} `malformed recipient at line <n>`, `no recipients found`
 */
export function parseRecipients(text: string): string[] {
  const found = keyLines(text).map(({ line, lineNumber }) => {
    if (!RECIPIENT.test(line) || !isAccepted(() => new Encrypter().addRecipient(line))) {
      throw new Error(`malformed recipient at line ${lineNumber}`);
    }
    return line;
  });
  if (found.length === 0) throw new Error("no recipients found");
  return found;
}

/**
 * The identities in `text`; blank lines and lines that begin with `#` are passed over.
 *
 * @throws {Error} `error at line <n>: malformed secret key: …`, `no secret keys found`
 */
export function parseIdentities(text: string): string[] {
  const found = keyLines(text).map(({ line, lineNumber }) => {
    const problem = !IDENTITY.test(line)
      ? "AGE-SECRET-KEY-1 and 58 capital letters and digits are expected"
      : isAccepted(() => new Decrypter().addIdentity(line))
      ? undefined
      : "a typing mistake, the checksum is wrong";
    if (problem === undefined) return line;
    throw new Error(`error at line ${lineNumber}: malformed secret key: ${problem}`);
  });
  if (found.length === 0) throw new Error("no secret keys found");
  return found;
}

function keyLines(text: string): { line: string; lineNumber: number }[] {
  return text.split(/\r?\n/).map((line, at) => ({ line, lineNumber: at + 1 }))
    .filter(({ line }) => line !== "" && !line.startsWith("#"));
}

/** Whether the library takes a key. Its messages repeat the key, so they go nowhere. */
function isAccepted(add: () => void): boolean {
  try {
    add();
    return true;
  } catch {
    return false;
  }
}

/** One age file for each object. */
class AgeCipher implements Cipher {
  readonly canEncrypt: boolean;
  readonly canDecrypt: boolean;
  readonly #encrypter = new Encrypter();
  readonly #decrypter = new Decrypter();

  constructor({ recipients, identities }: { recipients: string[]; identities: string[] }) {
    this.canEncrypt = recipients.length > 0;
    this.canDecrypt = identities.length > 0;
    for (const recipient of recipients) this.#encrypter.addRecipient(recipient);
    for (const identity of identities) this.#decrypter.addIdentity(identity);
  }

  encrypt(plain: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    return transformed(plain, {
      open: async (input) => {
        this.#requireRecipients();
        return await this.#encrypter.encrypt(input);
      },
      explain: (error) => error,
    });
  }

  decrypt(stored: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const bound = new HeaderBound();
    return transformed(stored, {
      open: (input) => this.#decrypter.decrypt(input),
      look: (bytes) => bound.accept(bytes),
      explain,
    });
  }

  async encryptBytes(plain: Uint8Array): Promise<Uint8Array> {
    this.#requireRecipients();
    return await this.#encrypter.encrypt(plain);
  }

  async decryptBytes(stored: Uint8Array): Promise<Uint8Array> {
    try {
      new HeaderBound().accept(stored);
      return await this.#decrypter.decrypt(stored);
    } catch (error) {
      throw explain(error);
    }
  }

  /** Without one the library would write a file that nobody can read. */
  #requireRecipients(): void {
    if (this.canEncrypt) return;
    throw new EncryptionError(
      "age identities are configured without recipients: what is written could not be encrypted; add age.recipients",
    );
  }
}

/** What went wrong while decrypting. */
function explain(error: unknown): Error {
  if (describeError(error) === NO_MATCH) {
    return new EncryptionError(
      "none of the configured age identities can read it: it was encrypted for other recipients",
    );
  }
  return new Error("the age file is damaged or cut short", { cause: error });
}

/** Refuses a header without an end. */
class HeaderBound {
  #count = 0;
  /** Bytes of `LAST_LINE` that came last; all of them once the header is over. */
  #matched = 0;

  /** The next bytes of the file. @throws {Error} when its header is too long */
  accept(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#matched === LAST_LINE.length) return;
      if (++this.#count > HEADER_LIMIT) throw new Error(`its header is longer than ${HEADER_LIMIT} bytes`);
      if (byte === LAST_LINE[this.#matched]) this.#matched++;
      else this.#matched = byte === LAST_LINE[0] ? 1 : 0;
    }
  }
}

/** A stream that the library makes of `source`, opened when it is first read. */
function transformed(
  source: ReadableStream<Uint8Array>,
  { open, look, explain }: {
    open: (input: ReadableStream<Uint8Array>) => Promise<ReadableStream<Uint8Array>>;
    /** Called with all that is read, before the library is. */
    look?: (bytes: Uint8Array) => void;
    explain: (error: unknown) => unknown;
  },
): ReadableStream<Uint8Array> {
  const input = new Pieces(source, look);
  let output: Promise<ReadableStreamDefaultReader<Uint8Array>> | undefined;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        output ??= open(input.stream).then((stream) => stream.getReader());
        const { done, value } = await (await output).read();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        // What the source failed with says nothing of the object.
        if (input.failure !== undefined) throw input.failure.error;
        const explained = explain(error);
        await input.cancel(explained);
        throw explained;
      }
    },
    async cancel(reason) {
      await input.cancel(reason);
      await output?.then((reader) => reader.cancel(reason)).catch(() => {});
    },
  }, { highWaterMark: 0 });
}

/** A source cut into pieces with memory of their own: the library keeps them while it reads on. */
class Pieces {
  readonly stream: ReadableStream<Uint8Array>;
  failure: { readonly error: unknown } | undefined;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);

  readonly #look: ((bytes: Uint8Array) => void) | undefined;

  constructor(source: ReadableStream<Uint8Array>, look?: (bytes: Uint8Array) => void) {
    this.#look = look;
    this.#reader = source.getReader();
    this.stream = new ReadableStream<Uint8Array>({
      pull: (controller) => this.#pull(controller),
      cancel: (reason) => this.cancel(reason),
    }, { highWaterMark: 0 });
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#read();
      if (done) return controller.close();
      this.#look?.(value);
      this.#rest = value;
    }
    controller.enqueue(this.#rest.slice(0, PIECE_SIZE));
    this.#rest = this.#rest.subarray(PIECE_SIZE);
  }

  async #read(): Promise<ReadableStreamReadResult<Uint8Array>> {
    try {
      return await this.#reader.read();
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }

  /** Stop reading. Never throws: a source that has failed already has said why where it was read. */
  async cancel(reason: unknown): Promise<void> {
    await this.#reader.cancel(reason).catch(() => {});
  }
}
