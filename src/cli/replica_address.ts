/** A replica as it stands on the command line. */
import { UsageError } from "../errors.ts";

/** Where a replica lies, still as text. */
export interface ReplicaAddress {
  readonly type: "file";
  /** As typed, with `~` and relative parts; runtime/process.ts expands it. */
  readonly path: string;
}

/** Whether an argument is a replica's URL rather than a path. */
export function isReplicaUrl(text: string): boolean {
  return /^(\w+:\/\/|file:)/i.test(text);
}

/**
 * A URL, or a plain path for a folder.
 *
 * What follows `file:` is the path, not decoded: `file:///my%20data` is the folder `/my%20data`, and
 * `file://data` is `/data`, as they always were.
 *
 * @throws {UsageError} for a scheme that is not known, or without a path
 */
export function parseReplicaAddress(text: string): ReplicaAddress {
  const scheme = /^(\w+):\/\//.exec(text)?.[1]?.toLowerCase() ?? (isReplicaUrl(text) ? "file" : undefined);
  if (scheme !== undefined && scheme !== "file") {
    throw new UsageError(
      `${withoutPassword(text)}: unknown replica type "${scheme}": give a folder or a file:// URL`,
    );
  }
  const path = scheme === undefined ? text : text.slice("file:".length);
  if (/^\/*$/.test(path) && path !== "/") throw new UsageError(`${text || '""'}: file replica path required`);
  return { type: "file", path: path.replace(/^\/{2,}/, "/") };
}

/** Messages end up in logs. */
function withoutPassword(url: string): string {
  return url.replace(/^(\w+:\/\/[^:/@]*):[^@/]*@/, "$1:***@");
}
