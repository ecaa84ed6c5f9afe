/** The preload shim: compiled by gcc when it is wanted, steered through a small shared file. */
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Bytes of the control file. */
const CONTROL_SIZE = 256;

/** Calls that a process can be made to die at. */
export const DEADLY_CALLS = { pwrite: 1, ftruncate: 2, fcntl: 3, fsync: 4, any: 5 } as const;

/** Calls that can be made to fail, as bits. */
export const FAILING_CALLS = { write: 1, truncate: 2, sync: 4, open: 8, read: 16 } as const;

/** Numbers of Linux. */
export const ERROR_NUMBERS = { EIO: 5, EMFILE: 24, ENOSPC: 28, EROFS: 30 } as const;

/** Compile the shim into `folder`; gives its path. @throws {Error} when there is no gcc */
export function compileShim(folder: string): string {
  const source = fileURLToPath(new URL("./shim.c", import.meta.url));
  const path = `${folder}/shim.so`;
  const { status, stderr, error } = spawnSync(
    "gcc",
    ["-O2", "-shared", "-fPIC", "-Wall", "-Wno-unused-parameter", "-o", path, source, "-ldl"],
    { encoding: "utf8" },
  );
  if (status !== 0) {
    throw new Error(`cannot compile the preload shim, the campaign needs gcc: ${error?.message ?? stderr}`);
  }
  return path;
}

/** The control of one process, before and while it runs. */
export class ShimControl implements Disposable {
  readonly #path: string;
  readonly #libraryPath: string;
  readonly #file: number;

  constructor(path: string, { libraryPath }: { libraryPath: string }) {
    writeFileSync(path, new Uint8Array(CONTROL_SIZE));
    this.#path = path;
    this.#libraryPath = libraryPath;
    this.#file = openSync(path, "r+");
  }

  /** What the process is started with. */
  get environment(): Record<string, string> {
    return { LD_PRELOAD: this.#libraryPath, SOAK_SHIM: this.#path };
  }

  #set(at: number, value: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, BigInt(Math.trunc(value)), true);
    writeSync(this.#file, bytes, 0, 8, at);
  }

  /** Move the process's time of day. */
  moveClock(byMs: number): void {
    this.#set(0, byMs * 1e6);
  }

  /** Kill the process at its `count`-th such call from now on. */
  dieAt(call: keyof typeof DEADLY_CALLS, count: number): void {
    this.#set(16, count);
    this.#set(8, DEADLY_CALLS[call]);
  }

  /** Let such calls on files whose path holds `part` fail now and then. */
  fail(
    { calls, code, share, part }: {
      calls: readonly (keyof typeof FAILING_CALLS)[];
      code: keyof typeof ERROR_NUMBERS;
      /** From 0 to 1. */
      share: number;
      part: string;
    },
  ): void {
    const bytes = new Uint8Array(200);
    new TextEncoder().encodeInto(part, bytes);
    writeSync(this.#file, bytes, 0, bytes.length, 56);
    this.#set(32, ERROR_NUMBERS[code]);
    this.#set(40, share * 1e6);
    this.#set(24, calls.reduce((bits, call) => bits | FAILING_CALLS[call], 0));
  }

  /** How many calls were made to fail. */
  get failedCount(): number {
    const bytes = new Uint8Array(8);
    readSync(this.#file, bytes, 0, 8, 48);
    return Number(new DataView(bytes.buffer).getBigInt64(0, true));
  }

  /** Everything works again; the clock stays as it is. */
  mend(): void {
    this.#set(24, 0);
    this.#set(8, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
