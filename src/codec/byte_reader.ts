/** Exact numbers of bytes from a stream whose chunk edges mean nothing. */

/** Reads a stream; owns it until it has ended or was cancelled. */
export class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** Wait until the chunk at hand has bytes; false at the end of the stream. */
  async #refill(): Promise<boolean> {
    while (this.#at === this.#chunk.length) {
      const { done, value } = await this.#reader.read();
      if (done) return false;
      this.#chunk = value;
      this.#at = 0;
    }
    return true;
  }

  /** What is at hand without waiting, at most `size` bytes, as a view that holds until the next call. */
  #takeAtHand(size: number): Uint8Array {
    const taken = this.#chunk.subarray(this.#at, this.#at + size);
    this.#at += taken.length;
    return taken;
  }

  /**
   * The next `size` bytes, as a view that holds until the next call.
   *
   * @param bufferFor asked for memory of at least `size` bytes only if they don't lie in one chunk
   * @returns fewer than `size` bytes when the stream ends before
   */
  async take(size: number, bufferFor: (size: number) => Uint8Array): Promise<Uint8Array> {
    if (size === 0 || !await this.#refill()) return new Uint8Array(0);
    if (this.#chunk.length - this.#at >= size) return this.#takeAtHand(size);
    const buffer = bufferFor(size);
    let filled = 0;
    while (filled < size && await this.#refill()) {
      const part = this.#takeAtHand(size - filled);
      buffer.set(part, filled);
      filled += part.length;
    }
    return buffer.subarray(0, filled);
  }

  /** Fill `buffer` from its start; fewer bytes than it holds only when the stream ends before. */
  async fill(buffer: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < buffer.length && await this.#refill()) {
      const part = this.#takeAtHand(buffer.length - filled);
      buffer.set(part, filled);
      filled += part.length;
    }
    return filled;
  }

  /** Pass over `size` bytes without holding them; returns how many there were. */
  async skip(size: number): Promise<number> {
    let skipped = 0;
    while (skipped < size && await this.#refill()) skipped += this.#takeAtHand(size - skipped).length;
    return skipped;
  }

  /** Whether nothing follows. */
  async isAtEnd(): Promise<boolean> {
    return !await this.#refill();
  }

  /** Stop reading. Never throws: a source that has failed already has said why where it was read. */
  async cancel(reason?: unknown): Promise<void> {
    await this.#reader.cancel(reason).catch(() => {});
  }
}
