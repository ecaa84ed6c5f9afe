/**
 * Looking at the files of one folder by the system's own call: the kernel walks from the open folder, not from the
 * root, and nothing is made for a file but its answer. Only where it was tried: Bun on Linux on x64.
 *
 * | Offset | Field of `struct statx`, little-endian  |
 * |--------|-----------------------------------------|
 * | 0      | u32 which fields are filled in          |
 * | 28     | u16 kind and permissions                |
 * | 40     | u64 size                                |
 * | 112    | i64 seconds of the last modification    |
 * | 120    | u32 nanoseconds of the last modification|
 */
import process from "node:process";
import type { FileLook } from "./files.ts";

/**
 * Looks at `name` in the folder that `descriptor` is open on, into the object that it gave before. `undefined` when that
 * failed for whatever reason: ask by the whole path, which also tells why.
 */
export type LookIn = (descriptor: number, name: string) => FileLook | undefined;

interface ForeignFunctions {
  dlopen(library: string, functions: object): {
    readonly symbols: {
      statx(folder: number, name: Uint8Array, flags: number, mask: number, into: Uint32Array): number;
    };
  };
}

const STATX_SIZE = 256;
/** Kind, modification, size. */
const WANTED = 0x001 | 0x040 | 0x200;
const KIND_MASK = 0xf000;
const REGULAR_FILE = 0x8000;
/** The longest name is of 255 bytes. */
const NAME_SIZE = 1024;

let lookIn: LookIn | undefined;
let wasTried = false;

/** The call; `undefined` where it can't be made. The first time takes less than a millisecond. */
export function bunLookIn(): LookIn | undefined {
  if (!wasTried) {
    wasTried = true;
    lookIn = load();
  }
  return lookIn;
}

function load(): LookIn | undefined {
  if (!("Bun" in globalThis) || process.platform !== "linux" || process.arch !== "x64") return undefined;
  try {
    const { dlopen } = process.getBuiltinModule("bun:ffi") as unknown as ForeignFunctions;
    const { statx } = dlopen("libc.so.6", {
      statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
    }).symbols;
    return lookBy(statx);
  } catch {
    // Another C library: it goes without.
    return undefined;
  }
}

function lookBy(statx: ReturnType<ForeignFunctions["dlopen"]>["symbols"]["statx"]): LookIn {
  const path = new Uint8Array(NAME_SIZE);
  const words = new Uint32Array(STATX_SIZE / 4);
  const encoder = new TextEncoder();
  const look = { size: 0, modifiedMs: 0, isFile: false };
  return (descriptor, name) => {
    const { read, written } = encoder.encodeInto(name, path);
    if (read !== name.length || written === NAME_SIZE) return undefined;
    path[written] = 0;
    if (statx(descriptor, path, 0, WANTED, words) !== 0 || (words[0]! & WANTED) !== WANTED) return undefined;
    look.size = words[11]! * 2 ** 32 + words[10]!;
    // The sum is rounded as `node:fs` does it.
    look.modifiedMs = Math.trunc(((words[29]! | 0) * 2 ** 32 + words[28]!) * 1000 + words[30]! / 1e6);
    look.isFile = (words[7]! & KIND_MASK) === REGULAR_FILE;
    return look;
  };
}
