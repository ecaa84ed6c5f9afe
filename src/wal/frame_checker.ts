/** Checks the bytes of a WAL, or of a part of it, as they come by in chunks of any size. */
import type { Checksum } from "./checksum.ts";
import { chainOf, scanFrames, type ScanStop, type WalChain } from "./frames.ts";
import { parseWalHeader } from "./header.ts";
import { frameSize, WAL_HEADER_SIZE } from "../position.ts";

/** Bytes that are not what comes next in their WAL. */
export class BrokenWalError extends Error {
  override readonly name = "BrokenWalError";

  /** @param length bytes from the start of the check to the header or frame that doesn't belong */
  constructor(message: string, readonly length: number, options?: ErrorOptions) {
    super(message, options);
  }
}

/** A frame at most is held. */
export class FrameChecker {
  #chain: WalChain | undefined;
  #carry: Uint8Array<ArrayBuffer>;
  #carried = 0;
  #length = 0;

  /** @param chain what the first frame has to continue; absent where the bytes begin with a WAL header */
  constructor(chain?: WalChain) {
    this.#chain = chain;
    this.#carry = new Uint8Array(chain === undefined ? WAL_HEADER_SIZE : frameSize(chain.pageSize));
  }

  /** Bytes of a page; `undefined` before the header has come by. */
  get pageSize(): number | undefined {
    return this.#chain?.pageSize;
  }

  /** That of the last frame so far, or of the header; `undefined` before it has come by. */
  get checksum(): Checksum | undefined {
    return this.#chain?.checksum;
  }

  /**
   * The next bytes.
   *
   * @throws {BrokenWalError} at the first header or frame that does not belong
   */
  accept(bytes: Uint8Array): void {
    let rest = bytes;
    if (this.#chain === undefined) {
      rest = this.#fill(rest);
      if (this.#carried < WAL_HEADER_SIZE) return;
      this.#takeHeader();
    }
    if (this.#carried > 0) {
      rest = this.#fill(rest);
      if (this.#carried < this.#carry.length) return;
      this.#carried = 0;
      this.#takeFrames(this.#carry);
    }
    const whole = rest.length - rest.length % this.#carry.length;
    if (whole > 0) this.#takeFrames(rest.subarray(0, whole));
    this.#fill(rest.subarray(whole));
  }

  /**
   * There are no more bytes.
   *
   * @throws {BrokenWalError} when they ended within a header or a frame
   */
  end(): void {
    if (this.#chain !== undefined && this.#carried === 0) return;
    const what = this.#chain === undefined ? "wal header" : "frame";
    throw new BrokenWalError(`the bytes end within a ${what}`, this.#length);
  }

  #takeHeader(): void {
    try {
      this.#chain = chainOf(parseWalHeader(this.#carry));
    } catch (cause) {
      throw new BrokenWalError("broken wal header", 0, { cause });
    }
    this.#length = WAL_HEADER_SIZE;
    this.#carried = 0;
    this.#carry = new Uint8Array(frameSize(this.#chain.pageSize));
  }

  #takeFrames(bytes: Uint8Array): void {
    const chain = this.#chain!;
    const scan = scanFrames(bytes, chain);
    this.#length += scan.frameCount * this.#carry.length;
    if (scan.frameCount * this.#carry.length < bytes.length) {
      throw new BrokenWalError(PROBLEMS[scan.stop], this.#length);
    }
    this.#chain = { ...chain, checksum: scan.checksum };
  }

  /** Keep bytes until there is a whole header or frame; returns those that are left over. */
  #fill(bytes: Uint8Array): Uint8Array {
    const taken = bytes.subarray(0, this.#carry.length - this.#carried);
    this.#carry.set(taken, this.#carried);
    this.#carried += taken.length;
    return bytes.subarray(taken.length);
  }
}

const PROBLEMS: Readonly<Record<ScanStop, string>> = {
  "salt": "salt mismatch",
  "checksum": "checksum mismatch",
  "page number": "page number 0",
  "partial": "partial frame",
  "end": "no frame",
};
