/** What lies in a replica and is no part of it. */
import { isGeneration } from "../position.ts";
import { GENERATIONS_PREFIX, parseSegmentName, parseSnapshotName } from "../storage/keys.ts";
import type { StoreOptions } from "../storage/object_store.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import type { Finding } from "./report.ts";

/** Find objects with names that are not of the format, and what uploads that broke off have left. */
export async function findLeftovers(
  { store }: ReplicaClient,
  options: StoreOptions = {},
): Promise<Finding[]> {
  const foreign: string[] = [];
  for await (const { key } of store.list(GENERATIONS_PREFIX, options)) {
    if (!isOfFormat(key)) foreign.push(key);
  }
  const unfinished = await store.listUnfinished?.(GENERATIONS_PREFIX, options) ?? [];
  return [
    ...findingOf(foreign, "its name is not one of the format, so that no restore looks at it"),
    ...findingOf(unfinished, "an upload that has not ended, or that broke off and left it"),
  ];
}

function findingOf(keys: readonly string[], message: string): Finding[] {
  const [key] = keys.toSorted();
  return key === undefined ? [] : [{ kind: "leftover", key, message, count: keys.length }];
}

function isOfFormat(key: string): boolean {
  const [, generation, kind, name, ...rest] = key.split("/");
  if (generation === undefined || !isGeneration(generation) || name === undefined || rest.length > 0) {
    return false;
  }
  if (kind === "snapshots") return parseSnapshotName(name) !== undefined;
  return kind === "wal" && parseSegmentName(name) !== undefined;
}
