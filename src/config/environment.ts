/** What is added to the environment. */
import type { EnvironmentLookup } from "./expand_environment.ts";

const CREDENTIALS: readonly (readonly [from: string, to: string])[] = [
  ["LITESTREAM_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"],
  ["LITESTREAM_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"],
];

/**
 * The variables to set at start, for ourselves and the `exec` child: our credentials under the names of AWS, where
 * those aren't there at all (one that is empty stays).
 */
export function credentialCopies(lookup: EnvironmentLookup): ReadonlyMap<string, string> {
  const copies = new Map<string, string>();
  for (const [from, to] of CREDENTIALS) {
    const value = lookup(from);
    if (value !== undefined && lookup(to) === undefined) copies.set(to, value);
  }
  return copies;
}
