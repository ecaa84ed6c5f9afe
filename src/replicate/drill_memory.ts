/**
 * What drills have shown, remembered beside the shadow WAL: a program that is started anew each day would otherwise never
 * get to the end of an interval of a day, and forget at each start that its last drill failed.
 *
 * One JSON file a replica in the meta directory, `walbrook-drills/<replica name>.json`. A broken one says nothing, nor
 * does one of another place that had the same name.
 */
import type { MetaDirectory } from "../database/meta_directory.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/** Times are milliseconds since 1970. */
export interface RememberedDrill {
  /** The interval counts from here: the last drill that passed, or when the first one began to be waited for. */
  readonly since: number;
  /** Up to when the replica is proven; absent until it was. */
  readonly provenAt?: number | undefined;
  /** Since when drills fail, and why the last one did; absent when it passed. */
  readonly failure?: { readonly since: number; readonly error: string } | undefined;
}

/** A larger file is none of ours. */
const SIZE_LIMIT = 64 * 1024;

/** Of an error; a path or two are in it. */
const ERROR_LENGTH = 1000;

/** The memory of one replica's drills. */
export class DrillMemory {
  readonly #meta: MetaDirectory;
  readonly #name: string;
  readonly #place: string;

  constructor(meta: MetaDirectory, { name, store }: Pick<ReplicaClient, "name" | "store">) {
    this.#meta = meta;
    this.#name = `walbrook-drills/${encodeURIComponent(name)}.json`;
    this.#place = store.place;
  }

  /** What was remembered; `undefined` when there is nothing that can be used: the interval begins anew. */
  read(): RememberedDrill | undefined {
    return parseDrill(this.#meta.readJson(this.#name, { limit: SIZE_LIMIT }), this.#place);
  }

  /** Remember this in place of what was there. */
  write({ since, provenAt, failure }: RememberedDrill): void {
    const short = failure && { since: failure.since, error: failure.error.slice(0, ERROR_LENGTH) };
    const text = JSON.stringify({ place: this.#place, since, provenAt, failure: short });
    try {
      this.#meta.writeText(this.#name, `${text}\n`);
    } catch {
      // On a full disk, say. The next drill writes it again; until then a start finds what was there before.
    }
  }
}

function parseDrill(value: unknown, here: string): RememberedDrill | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { place, since, provenAt, failure } = value as Record<string, unknown>;
  if (place !== here) return undefined;
  if (!isTime(since) || (provenAt !== undefined && !isTime(provenAt))) return undefined;
  return { since, provenAt, failure: parseFailure(failure) };
}

function parseFailure(value: unknown): RememberedDrill["failure"] {
  if (typeof value !== "object" || value === null) return undefined;
  const { since, error } = value as Record<string, unknown>;
  return isTime(since) && typeof error === "string" ? { since, error } : undefined;
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value);
}
