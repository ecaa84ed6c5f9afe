/**
 * A `Files` that writes down what is done through it, in order.
 *
 * ```ts
 * const { files, calls } = recordFiles(systemFiles);
 * await store(files).put(key, bytes);
 * calls.map((call) => call.kind); // ["make-folder", "open", "write", "sync", "rename", "sync-folder"]
 * ```
 */
import type { Files } from "../../src/runtime/files.ts";
import { type FileCall, type FileCallKind, hookFiles } from "./hooked_files.ts";

/** A call with its place in time: `ended` of one call < `begun` of another proves that it was waited for. */
export interface RecordedCall extends FileCall {
  /** Counts begins and ends of all calls together. */
  readonly begun: number;
  /** Absent while it runs. */
  ended?: number;
  /** What it threw; absent when it succeeded. */
  error?: unknown;
}

/** Reading and looking change nothing: left out unless asked for. */
const CHANGES: readonly FileCallKind[] = [
  "write",
  "sync",
  "truncate",
  "set-times",
  "make-folder",
  "rename",
  "link",
  "remove",
  "remove-tree",
  "remove-empty-folder",
  "sync-folder",
  "change-owner",
  "change-mode",
];

/** Which calls to record and what to keep of them. */
export interface RecordingOptions {
  /** Default: those that change something. `open` with `create` and `create-new` counts as a change. */
  readonly kinds?: readonly FileCallKind[];
  /** Keep a copy of the bytes of each write; otherwise only their number, as `size`. Default false. */
  readonly keepBytes?: boolean;
}

/** Wrap `inner`; `calls` grows as things are done. Empty it with `calls.length = 0`. */
export function recordFiles(
  inner: Files,
  { kinds, keepBytes = false }: RecordingOptions = {},
): { files: Files; calls: RecordedCall[] } {
  const calls: RecordedCall[] = [];
  let clock = 0;
  const isWanted = (call: FileCall) =>
    kinds?.includes(call.kind) ??
      (CHANGES.includes(call.kind) || call.kind === "open" && call.access!.startsWith("create"));
  const files = hookFiles(inner, (call, act) => {
    if (!isWanted(call)) return act();
    const { bytes, ...rest } = call;
    const recorded: RecordedCall = { ...rest, begun: clock++ };
    if (bytes !== undefined) Object.assign(recorded, { size: bytes.length });
    if (bytes !== undefined && keepBytes) Object.assign(recorded, { bytes: bytes.slice() });
    calls.push(recorded);
    const failed = (error: unknown) => {
      recorded.ended = clock++;
      recorded.error = error;
      throw error;
    };
    try {
      const result = act();
      if (result instanceof Promise) {
        return result.then((value) => {
          recorded.ended = clock++;
          return value;
        }, failed) as typeof result;
      }
      recorded.ended = clock++;
      return result;
    } catch (error) {
      return failed(error);
    }
  });
  return { files, calls };
}
