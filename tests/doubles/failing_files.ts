/**
 * A `Files` that fails on demand.
 *
 * ```ts
 * // The second write to a segment finds the disk full, once.
 * const { files } = failFiles(systemFiles, [{ kind: "write", code: "ENOSPC", nth: 2, path: /\.wal\.lz4/ }]);
 * ```
 */
import type { Files } from "../../src/runtime/files.ts";
import { type FileCall, type FileCallKind, hookFiles } from "./hooked_files.ts";

/** When to fail and how. */
export interface FailRule {
  readonly kind: FileCallKind;
  /** `ENOSPC`, `EIO`, `EMFILE`, `EACCES`… */
  readonly code: string;
  /** The call that fails first, counted from 1 among those of this kind whose path matches. Default 1. */
  readonly nth?: number;
  /** How many calls fail from then on. Default 1; `Infinity` for good. */
  readonly times?: number;
  /** Only calls whose path (rename: either path) matches. */
  readonly path?: RegExp;
  /** Carry the call out first, then fail: a disk that did it and lost the answer. Default false. */
  readonly afterwards?: boolean;
}

/** Wrap `inner`. Rules may be added to the array later; `failed` lists the calls that were made to fail. */
export function failFiles(inner: Files, rules: FailRule[]): { files: Files; failed: FileCall[] } {
  const failed: FileCall[] = [];
  const seen = new Map<FailRule, number>();
  const files = hookFiles(inner, (call, act) => {
    const rule = rules.filter((rule) => matches(rule, call)).filter((rule) => {
      const count = (seen.get(rule) ?? 0) + 1;
      seen.set(rule, count);
      const first = rule.nth ?? 1;
      return count >= first && count < first + (rule.times ?? 1);
    })[0];
    if (rule === undefined) return act();
    failed.push(call);
    if (rule.afterwards) {
      const result = act();
      if (result instanceof Promise) {
        return result.then(() => {
          throw systemError(rule.code, call);
        }) as typeof result;
      }
    }
    throw systemError(rule.code, call);
  });
  return { files, failed };
}

/** An error as the system's own look. */
export function systemError(code: string, { kind, path }: { kind: string; path: string }): Error {
  return Object.assign(new Error(`${code}: made to fail, ${kind} '${path}'`), { code });
}

function matches(rule: FailRule, call: FileCall): boolean {
  if (rule.kind !== call.kind) return false;
  return rule.path === undefined || rule.path.test(call.path) || rule.path.test(call.to ?? "");
}
