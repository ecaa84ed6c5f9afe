/**
 * A WAL that lies beside another database than its own, remembered in the meta directory: walbrook may be started anew
 * before somebody has put that right, and would then take the WAL for that of the database beside it, as SQLite does.
 *
 * One JSON file, `walbrook-left-wal.json`, there only while such a WAL is waited for. A broken one says nothing.
 */
import type { LeftWal } from "./live_files.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { fromFields, toFields } from "./seen_file.ts";

const NAME = "walbrook-left-wal.json";

/** A larger file is none of ours. */
const SIZE_LIMIT = 4096;

/** What is remembered of one database. */
export class LeftWalMemory {
  readonly #meta: MetaDirectory;
  #left: LeftWal | undefined;
  #isRead = false;

  constructor(meta: MetaDirectory) {
    this.#meta = meta;
  }

  /** The WAL that was left, if one is known of. */
  get left(): LeftWal | undefined {
    if (!this.#isRead) this.#left = readLeftWal(this.#meta);
    this.#isRead = true;
    return this.#left;
  }

  /** @throws {Error} when it can't be written down; it is known of until the end of the process all the same */
  remember(left: LeftWal): void {
    this.#isRead = true;
    this.#left = left;
    const { main, wal, header } = left;
    const text = JSON.stringify({ main: toFields(main), wal: toFields(wal), header });
    this.#meta.writeText(NAME, `${text}\n`, { isSynced: true });
  }

  /** It has been put right. */
  forget(): void {
    if (this.left === undefined) return;
    this.#left = undefined;
    try {
      this.#meta.remove(NAME);
    } catch {
      // It says nothing once the WAL was written to, or deleted.
    }
  }
}

/** What another process has remembered; `undefined` when there is nothing that can be used. */
export function readLeftWal(meta: MetaDirectory): LeftWal | undefined {
  return parse(meta.readJson(NAME, { limit: SIZE_LIMIT }));
}

function parse(value: unknown): LeftWal | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { header, ...files } = value as Record<string, unknown>;
  const [main, wal] = [fromFields(files["main"]), fromFields(files["wal"])];
  if (main === undefined || wal === undefined || typeof header !== "string") return undefined;
  return { main, wal, header };
}
