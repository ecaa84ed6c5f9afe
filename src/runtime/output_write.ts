/** Writing to standard output and standard error, where our parent may have made a pipe of them that doesn't block. */
import { write, writeSync } from "node:fs";
import process from "node:process";
import { systemCode } from "./system_code.ts";

interface DenoOutputs {
  readonly stdout: { writeSync(bytes: Uint8Array): number };
}

const deno = (globalThis as { Deno?: DenoOutputs }).Deno;

/** What a pipe takes whole or not at all (`PIPE_BUF`). */
const WHOLE_SIZE = process.platform === "darwin" ? 512 : 4096;

/** Less than this of a line Deno's standard output puts into a buffer, before it tries to pass it on. */
const HELD_SIZE = 1024;

const STDOUT = 1;
const LINE_END = 0x0a;

/**
 * Bytes on their way to one of the two.
 *
 * Of a write that fills a pipe Bun says how much has gone; Deno only that it failed. It gets no more at once than goes
 * whole or not at all, and what it holds after a failure is not given to it again.
 */
export class OutputWrite {
  readonly #descriptor: number;
  #rest: Uint8Array;
  #isHeld = false;

  constructor(descriptor: number, bytes: Uint8Array) {
    this.#descriptor = descriptor;
    this.#rest = bytes;
  }

  /** Whether all has gone. */
  get isOver(): boolean {
    return this.#rest.length === 0 && !this.#isHeld;
  }

  /**
   * Write the next bytes.
   *
   * @throws {Error} the system's; after EAGAIN, from a full pipe, the next call goes on where this one failed
   */
  nextSync(): void {
    if (this.#isHeld) return this.#passHeld();
    const piece = this.#piece();
    try {
      this.#drop(writeSync(this.#descriptor, piece));
    } catch (error) {
      this.#noteHeld(piece, error);
      throw error;
    }
  }

  /** The same, without blocking. */
  async next(): Promise<void> {
    if (this.#isHeld) return this.#passHeld();
    const piece = this.#piece();
    try {
      this.#drop(await writeAsync(this.#descriptor, piece));
    } catch (error) {
      this.#noteHeld(piece, error);
      throw error;
    }
  }

  #piece(): Uint8Array {
    if (deno === undefined) return this.#rest;
    const piece = this.#rest.subarray(0, WHOLE_SIZE);
    // Of lines and the beginning of another the lines could go and the beginning be held.
    return piece.subarray(0, piece.lastIndexOf(LINE_END) + 1 || piece.length);
  }

  #drop(size: number): void {
    this.#rest = this.#rest.subarray(size);
  }

  #noteHeld(piece: Uint8Array, error: unknown): void {
    this.#isHeld = deno !== undefined && this.#descriptor === STDOUT && systemCode(error) === "EAGAIN" &&
      piece.length < HELD_SIZE && piece.at(-1) !== LINE_END;
    if (this.#isHeld) this.#drop(piece.length);
  }

  #passHeld(): void {
    // It passes on what it holds with any write, also with one of nothing.
    deno!.stdout.writeSync(new Uint8Array());
    this.#isHeld = false;
  }
}

function writeAsync(descriptor: number, bytes: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, (error, count) => error === null ? resolve(count) : reject(error));
  });
}
