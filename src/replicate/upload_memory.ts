/**
 * What was uploaded last, remembered beside the shadow WAL: where objects are encrypted and there is no identity, the
 * replica can't be read back to find out how far it reaches.
 *
 * One JSON file a replica in the meta directory, `walbrook-uploads/<replica name>.json`. It is a hint that has to
 * agree with the replica's own listing; a stale, foreign or broken one says nothing.
 */
import type { KnownSegment } from "./remote_position.ts";
import type { MetaDirectory } from "../database/meta_directory.ts";
import type { Checksum } from "../wal/checksum.ts";

/** The newest segment of a replica as it was stored. */
export interface RememberedUpload extends KnownSegment {
  /** That of its last frame: the shadow WAL may have lost what was uploaded, in a power cut. */
  readonly checksum: Checksum;
  /** The newest time that any of our notes gave; milliseconds since 1970. */
  readonly newestCommitAt: number;
}

/** A larger file is none of ours. */
const SIZE_LIMIT = 4096;

/** The memory of one replica. */
export class UploadMemory {
  readonly #meta: MetaDirectory;
  readonly #name: string;

  constructor(meta: MetaDirectory, replicaName: string) {
    this.#meta = meta;
    this.#name = `walbrook-uploads/${encodeURIComponent(replicaName)}.json`;
  }

  /** What was remembered; `undefined` when there is nothing that can be used. */
  read(): RememberedUpload | undefined {
    const text = this.#meta.readText(this.#name, { limit: SIZE_LIMIT });
    if (text === undefined) return undefined;
    try {
      return parseUpload(JSON.parse(text));
    } catch {
      return undefined; // Half a file, after a power cut.
    }
  }

  /** Remember `upload` in place of what was there; without a checksum what was there stays. */
  write(upload: Omit<RememberedUpload, "checksum"> & { readonly checksum: Checksum | undefined }): void {
    const { key, size, index, offset, length, checksum, newestCommitAt } = upload;
    if (checksum === undefined) return;
    const text = JSON.stringify({ key, size, index, offset, length, checksum, newestCommitAt });
    this.#meta.writeText(this.#name, `${text}\n`);
  }
}

function parseUpload(value: unknown): RememberedUpload | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { key, size, index, offset, length, checksum, newestCommitAt } = value as Record<string, unknown>;
  if (typeof key !== "string" || !Array.isArray(checksum) || checksum.length !== 2) return undefined;
  const numbers = [size, index, offset, length, newestCommitAt, ...checksum];
  if (!numbers.every(Number.isSafeInteger)) return undefined;
  return { key, size, index, offset, length, checksum, newestCommitAt } as unknown as RememberedUpload;
}
