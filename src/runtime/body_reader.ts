/** The body of an answer, into memory that its reader brings along. */

/** What a read gave. */
export interface BodyPart {
  /** What was brought along: the memory moves to another array where the runtime reads into it without a copy. */
  readonly memory: Uint8Array<ArrayBuffer>;
  /** Bytes that came; 0 at the end of the body. */
  readonly count: number;
}

/**
 * Reads a body to its end. Deno makes a chunk of 64 KiB for whatever little the network gives at once: reading into
 * memory that was brought along, a large body takes half of the CPU and leaves no garbage.
 */
export class BodyReader {
  readonly #direct: ReadableStreamBYOBReader | undefined;
  readonly #copying: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #rest: Uint8Array = new Uint8Array(0);

  /**
   * @param options.keepsMemory bytes that came stay in the memory when a later read fails, which costs a copy; without
   * it the memory is lost with that read
   */
  constructor(body: ReadableStream<Uint8Array>, { keepsMemory }: { keepsMemory: boolean }) {
    this.#direct = keepsMemory ? undefined : directReader(body);
    if (this.#direct === undefined) this.#copying = body.getReader();
  }

  /** Read into `memory` from its byte `at` on, which is below its length; `memory` is given away. */
  async readInto(memory: Uint8Array<ArrayBuffer>, at: number): Promise<BodyPart> {
    if (this.#direct !== undefined) {
      const { length, buffer, byteOffset } = memory;
      const { value } = await this.#direct.read(new Uint8Array(buffer, byteOffset + at, length - at));
      // A body that is cancelled keeps the memory.
      if (value === undefined) return { memory: new Uint8Array(length), count: 0 };
      return { memory: new Uint8Array(value.buffer, byteOffset, length), count: value.length };
    }
    while (this.#rest.length === 0) {
      const { done, value } = await this.#copying!.read();
      if (done) return { memory, count: 0 };
      this.#rest = value;
    }
    const part = this.#rest.subarray(0, memory.length - at);
    memory.set(part, at);
    this.#rest = this.#rest.subarray(part.length);
    return { memory, count: part.length };
  }

  /** Stop reading; a read that waits ends as at the end of the body. Fails when the connection is gone. */
  async cancel(): Promise<void> {
    await (this.#direct ?? this.#copying!).cancel();
  }
}

/** Absent where the body is no stream of that kind: Bun's never are. */
function directReader(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | undefined {
  try {
    return body.getReader({ mode: "byob" });
  } catch {
    return undefined;
  }
}
