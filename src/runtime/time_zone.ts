/** Which time this machine shows. */
import { readlinkSync } from "node:fs";
import process from "node:process";

const UTC_NAMES: readonly string[] = ["UTC", "Etc/UTC"];

let known: boolean | undefined;

/**
 * Whether local time is plainly UTC, as on most servers: then nobody has to ask for local time, which costs 9 ms on Bun at
 * the first time. `false` also where that can't be told cheaply, and on Deno, where local time costs nothing and looking at
 * the zone's file needs a permission.
 */
export function isLocalTimeUtc(): boolean {
  return known ??= looksLikeUtc();
}

function looksLikeUtc(): boolean {
  if (process.versions["bun"] === undefined) return false;
  const name = process.env["TZ"];
  if (name !== undefined) return UTC_NAMES.includes(name);
  if (process.platform !== "linux") return false;
  try {
    const target = readlinkSync("/etc/localtime");
    return UTC_NAMES.some((each) => target.endsWith(`/zoneinfo/${each}`));
  } catch {
    return false; // A copy of the file, or a system without zones.
  }
}
