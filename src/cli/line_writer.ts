/** Text put together from many short pieces, most of them ASCII. */

const FIRST_SIZE = 4096;
const BLANK = 0x20;
const LAST_ASCII = 0x7f;

/** Keeps bytes: a string of half a million pieces takes twice as long, and is itself made into bytes at the end. */
export class LineWriter {
  readonly #encoder = new TextEncoder();
  #bytes = new Uint8Array(FIRST_SIZE);
  #size = 0;

  add(text: string): void {
    const { length } = text;
    // No more bytes than three come from one unit of a string.
    this.#makeRoom(length * 3);
    const bytes = this.#bytes;
    const start = this.#size;
    for (let at = 0; at < length; at++) {
      const code = text.charCodeAt(at);
      if (code > LAST_ASCII) {
        this.#size = start + at;
        this.#size += this.#encoder.encodeInto(text.slice(at), bytes.subarray(this.#size)).written;
        return;
      }
      bytes[start + at] = code;
    }
    this.#size = start + length;
  }

  addBlanks(count: number): void {
    this.#makeRoom(count);
    for (let left = count; left > 0; left--) this.#bytes[this.#size++] = BLANK;
  }

  get text(): string {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.#bytes.subarray(0, this.#size));
  }

  #makeRoom(size: number): void {
    if (this.#size + size <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#size + size));
    larger.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = larger;
  }
}
