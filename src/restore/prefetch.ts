/** Objects in order, fetched ahead in pieces, so that several requests run at once in bounded memory. */
import { unseal, unsealBytes } from "../codec/sealed.ts";
import { DamagedObjectError, NotFoundError } from "../errors.ts";
import type { ByteRange, ObjectInfo } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import { HAS_COSTLY_CONNECTIONS, releaseUnusedMemorySoon } from "../runtime/memory.ts";
import { asDamage, FetchError } from "./damage.ts";
import { vanished } from "./moments.ts";

/**
 * Objects up to this many bytes are fetched whole, larger ones of a folder in pieces of it; so many times the
 * parallelism may be held, from far away half as much again.
 */
export const PIECE_SIZE = 1024 * 1024;

/**
 * The pieces of a large object from far away. Half as large, the requests took a server twice the CPU time and more of
 * ours; twice as large, there were too few of them at once for a line that is slow for each.
 */
export const FAR_PIECE_SIZE = 2 * PIECE_SIZE;

/** So many bytes come in between two clearances of memory. */
const RELEASE_EVERY = 6 * 1024 * 1024;

/** What a request leaves behind besides its bytes: streams, promises, the buffer of a small decoded object. */
const COST_PER_PIECE = 16 * 1024;

/**
 * Small objects are fetched ahead up to so many times the parallelism; 16 are as many bytes as otherwise. That many
 * connections would take Deno 9 MB more than the 118 MB that it has.
 */
const SMALL_FACTOR = HAS_COSTLY_CONNECTIONS ? 8 : 16;

/** What one of them takes of the parallelism: of 8 there are 6 at once, 12 MiB. Exact in binary. */
const FAR_PIECE_SHARE = 11 / 8;

/**
 * Where pieces are waited for that take as long as this, at least and at most, it is the way there and back that they
 * take: with more of them at once the line carries more. Those of a line that is full take longer with each one more.
 */
const FAR_AWAY_MS = [40, 400] as const;

/** So many times the parallelism they may take then, in steps of two pieces. */
const MOST_FAR_AWAY = 2;

/** Not more small objects at once than this, unless the parallelism is more: each has a connection. */
const MOST_SMALL = 256;

/** Buffers come in few sizes and are used again: for most objects of a busy history, and for whole pieces. */
const BUFFER_SIZES = [64 * 1024, PIECE_SIZE, FAR_PIECE_SIZE] as const;

/** Of an empty object. */
const NOTHING: Memory = { bytes: new Uint8Array(0), isOwn: true };

/** What is asked of a store at once. */
interface Piece {
  readonly object: ObjectInfo;
  /** Absent: the whole object. */
  readonly range: Required<ByteRange> | undefined;
  readonly size: number;
}

/** What became of a piece. */
interface FetchedPiece {
  /** Decrypted, if it is a whole object of an encrypted replica. */
  readonly bytes: Uint8Array;
  /** As stored. */
  readonly storedSize: number;
  /** The memory behind `bytes`; absent when nobody but them knows of it. */
  readonly memory: Memory | undefined;
}

/** Memory whose bytes are not needed for good. */
interface Memory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Whether it was acquired here, and is used again. */
  readonly isOwn: boolean;
}

/** A fetched object: its bytes, decrypted, one chunk at a time, each valid until the next is asked for. */
export interface FetchedObject {
  /** The only chunk, when the object is no larger than a piece. */
  readonly whole: Uint8Array | undefined;
  stream(): ReadableStream<Uint8Array>;
}

/** How much to fetch ahead. */
export interface PrefetchOptions {
  /**
   * Pieces at once, at least 1. From 2 on, of a store that is not in a folder, pieces are twice as large and a quarter
   * fewer, up to twice as many where they are long on their way, and small objects 16 times as many (8 on Deno), 256 at
   * most: each of them costs the way there and back and hardly a byte.
   */
  readonly parallelism: number;
  /** Milliseconds of a clock that is never set back. Default: the system's. */
  readonly nowMs?: (() => number) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of stored bytes of each piece that is handed over. */
  readonly onBytes?: ((count: number) => void) | undefined;
}

/** A piece on its way. */
interface RunningPiece {
  readonly object: ObjectInfo;
  readonly fetched: Promise<FetchedPiece>;
  /** What it takes of the parallelism. */
  readonly share: number;
  readonly begunMs: number;
  /** Whether it has come, or failed. */
  isThere: boolean;
}

/** Fetches `objects` of a replica in order; ask for each with `next()`. */
export class Prefetcher implements AsyncDisposable {
  readonly #client: ReplicaClient;
  readonly #pieces: Iterator<Piece>;
  readonly #options: PrefetchOptions;
  readonly #abort = new AbortController();
  readonly #signal: AbortSignal;
  readonly #running: RunningPiece[] = [];
  /** Of the parallelism, how much is under way. */
  #share = 0;
  /** Of large objects. */
  readonly #pieceSize: number;
  /** What a small object, and a piece of a large one, take of the parallelism. */
  readonly #smallShare: number;
  readonly #pieceShare: number;
  /** The parallelism; more of it where pieces come from far away. */
  #room: number;
  readonly #nowMs: () => number;
  /** Of the objects whose pieces come one by one. */
  readonly #versions = new WeakMap<ObjectInfo, string>();
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  #shown: Memory | undefined;
  #sinceRelease = 0;

  constructor(client: ReplicaClient, objects: readonly ObjectInfo[], options: PrefetchOptions) {
    this.#client = client;
    this.#options = options;
    const { signal, parallelism, nowMs = () => performance.now() } = options;
    this.#nowMs = nowMs;
    this.#room = parallelism;
    const isLocal = client.store.type === "file";
    this.#pieceSize = isLocal ? PIECE_SIZE : FAR_PIECE_SIZE;
    this.#pieces = piecesOf(objects, this.#pieceSize);
    const factor = Math.min(SMALL_FACTOR, Math.max(1, MOST_SMALL / parallelism));
    const isFar = !isLocal && parallelism > 1;
    this.#smallShare = isFar ? 1 / factor : 1;
    this.#pieceShare = isFar ? FAR_PIECE_SHARE : 1;
    this.#signal = signal === undefined ? this.#abort.signal : AbortSignal.any([signal, this.#abort.signal]);
  }

  /** The next object; `object` is the one of the list whose turn it is. What was left unread of others is dropped. */
  async next(object: ObjectInfo): Promise<FetchedObject> {
    for (this.#fill(); this.#running[0] !== undefined && this.#running[0].object !== object;) {
      // One that was given up may fail on.
      await this.#nextPiece().catch(() => this.#signal.throwIfAborted());
    }
    if (object.size <= PIECE_SIZE) {
      const whole = await this.#nextPiece();
      return { whole, stream: () => chunkStream(() => Promise.resolve(undefined), whole) };
    }
    let left = object.size;
    const pull = async () => {
      if (left <= 0) return undefined;
      const piece = await this.#nextPiece();
      left -= this.#pieceSize;
      return piece;
    };
    return { whole: undefined, stream: () => unseal(chunkStream(pull), this.#client.cipher) };
  }

  async #nextPiece(): Promise<Uint8Array> {
    this.#signal.throwIfAborted();
    if (this.#shown !== undefined) this.#release(this.#shown);
    this.#shown = undefined;
    this.#fill();
    const piece = this.#running.shift()!;
    const isWaitedFor = !piece.isThere;
    const { bytes, storedSize, memory } = await piece.fetched.finally(() => this.#share -= piece.share);
    if (isWaitedFor) this.#noteWait(piece);
    this.#shown = memory;
    this.#fill();
    this.#options.onBytes?.(storedSize);
    this.#sinceRelease += COST_PER_PIECE + (memory === undefined ? bytes.length : 0);
    if (this.#sinceRelease >= RELEASE_EVERY) {
      this.#sinceRelease = 0;
      releaseUnusedMemorySoon();
    }
    return bytes;
  }

  /** It came later than it was needed. */
  #noteWait({ begunMs, share }: RunningPiece): void {
    const tookMs = this.#nowMs() - begunMs;
    const [least, most] = FAR_AWAY_MS;
    if (share !== FAR_PIECE_SHARE || tookMs < least || tookMs > most) return;
    this.#room = Math.min(MOST_FAR_AWAY * this.#options.parallelism, this.#room + 2 * share);
  }

  #fill(): void {
    while (this.#running.length === 0 || this.#share < this.#room) {
      const next = this.#pieces.next();
      if (next.done) return;
      const { size, range } = next.value;
      // The room that pieces from far away have got is theirs alone.
      const factor = range === undefined ? this.#room / this.#options.parallelism : 1;
      const share = factor *
        (range !== undefined ? this.#pieceShare : size <= BUFFER_SIZES[0] ? this.#smallShare : 1);
      const fetched = this.#fetch(next.value);
      const { object } = next.value;
      const running = { object, fetched, share, begunMs: this.#nowMs(), isThere: false };
      // Its failure counts when its turn comes.
      fetched.catch(() => {}).finally(() => running.isThere = true);
      this.#running.push(running);
      this.#share += share;
    }
  }

  async #fetch(piece: Piece): Promise<FetchedPiece> {
    const memory = piece.size === 0 ? NOTHING : await this.#get(piece);
    const stored = memory.bytes;
    const storedSize = stored.length;
    // Here, where several objects are under way at once: each costs a key exchange, which other threads compute.
    const bytes = piece.range === undefined ? await this.#unseal(piece.object, stored) : stored;
    if (bytes === stored) return { bytes, storedSize, memory };
    this.#release(memory);
    return { bytes, storedSize, memory: undefined };
  }

  async #unseal(object: ObjectInfo, stored: Uint8Array): Promise<Uint8Array> {
    try {
      return await unsealBytes(stored, this.#client.cipher);
    } catch (error) {
      throw asDamage(object, error);
    }
  }

  async #get({ object, range, size }: Piece): Promise<Memory> {
    const { store } = this.#client;
    let acquired: Uint8Array<ArrayBuffer> | undefined;
    const acquire = () => acquired ??= this.#acquire(size);
    try {
      if (store.read !== undefined) {
        const options = { start: range?.start, size, acquire, signal: this.#signal };
        const { bytes, objectSize, version } = await store.read(object.key, options);
        if (objectSize !== undefined && objectSize > object.size) throw isLonger(object);
        if (version !== undefined) this.#requireSame(object, version);
        return { bytes, isOwn: bytes.buffer === acquired?.buffer };
      }
      const stream = await store.get(object.key, {
        signal: this.#signal,
        ...(range === undefined ? {} : { range }),
      });
      return { bytes: await readExactly(stream, { object, buffer: acquire(), size }), isOwn: true };
    } catch (error) {
      if (error instanceof NotFoundError) throw vanished(object.key, error);
      this.#signal.throwIfAborted();
      if (error instanceof DamagedObjectError || error instanceof FetchError) throw error;
      throw new FetchError(`cannot read ${object.key}`, { cause: error });
    }
  }

  #requireSame(object: ObjectInfo, version: string): void {
    const before = this.#versions.get(object);
    if (before === undefined) this.#versions.set(object, version);
    else if (before !== version) {
      throw new FetchError(`${object.key} was replaced while it was read; read it again`);
    }
  }

  #acquire(size: number): Uint8Array<ArrayBuffer> {
    const wanted = BUFFER_SIZES.find((other) => size <= other) ?? size;
    const nth = this.#spare.findLastIndex((buffer) => buffer.length === wanted);
    return nth === -1 ? new Uint8Array(wanted) : this.#spare.splice(nth, 1)[0]!;
  }

  #release({ bytes: { buffer }, isOwn }: Memory): void {
    if (buffer.byteLength === 0) return;
    if (isOwn) this.#spare.push(new Uint8Array(buffer));
    // At once: collectors let such buffers pile up to a multiple of what is in use, or cost more than the restore.
    else buffer.transfer(0);
  }

  /** Stop what runs. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await Promise.allSettled(this.#running.map(({ fetched }) => fetched));
    this.#spare.length = 0;
  }
}

function* piecesOf(objects: readonly ObjectInfo[], pieceSize: number): Generator<Piece> {
  for (const object of objects) {
    const { size } = object;
    if (size <= PIECE_SIZE) yield { object, range: undefined, size };
    else {
      for (let start = 0; start < size; start += pieceSize) {
        const end = Math.min(size, start + pieceSize);
        yield { object, range: { start, end }, size: end - start };
      }
    }
  }
}

/** Fill `buffer` with `size` bytes; fewer come back only when the stream ends before, which its decoder judges. */
async function readExactly(
  stream: ReadableStream<Uint8Array>,
  { object, buffer, size }: { object: ObjectInfo; buffer: Uint8Array<ArrayBuffer>; size: number },
): Promise<Uint8Array<ArrayBuffer>> {
  let filled = 0;
  for await (const chunk of stream) {
    if (filled + chunk.length > size) throw isLonger(object);
    buffer.set(chunk, filled);
    filled += chunk.length;
  }
  return buffer.subarray(0, filled);
}

function isLonger({ key }: ObjectInfo): DamagedObjectError {
  return new DamagedObjectError(key, "it is longer than listed: it changes while it is restored");
}

function chunkStream(
  pull: () => Promise<Uint8Array | undefined>,
  first?: Uint8Array,
): ReadableStream<Uint8Array> {
  let ready = first !== undefined && first.length > 0 ? first : undefined;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const chunk = ready ?? await pull();
      ready = undefined;
      if (chunk === undefined) controller.close();
      else if (chunk.length > 0) controller.enqueue(chunk);
      else controller.close();
    },
  }, { highWaterMark: 0 });
}
