/** Another database in the place of the one that is followed, also of one that took it while walbrook was down. */
import { fateOf } from "./fate.ts";
import type { Rest } from "./follower.ts";
import type { Generations } from "./generations.ts";
import { type LastSeen, lookAtBoth, readLastSeen, writeLastSeen } from "./last_seen.ts";
import { LeftWalMemory, readLeftWal } from "./left_wal.ts";
import type { LeftWal, LiveFiles } from "./live_files.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { refuseLeftWal } from "./open.ts";
import type { Opened } from "./opened.ts";
import { isUnwritten, type SeenFile } from "./seen_file.ts";
import type { Troubles } from "./troubles.ts";
import { hasSameCommits } from "../wal/wal_index.ts";

/** What it is noticed with. */
export interface ReplacementParts {
  readonly meta: MetaDirectory;
  readonly generations: Generations;
  readonly troubles: Troubles;
}

/** What is known of one path. */
export class Replacement {
  readonly #parts: ReplacementParts;
  /** What the database before has left beside the one that took its place, if anything. */
  readonly #leftWal: LeftWalMemory;
  /** What was written down last. */
  #rest: Rest | undefined;
  /** The main file that was compared with what was seen last. */
  #judged: SeenFile | undefined;

  constructor(parts: ReplacementParts) {
    this.#parts = parts;
    this.#leftWal = new LeftWalMemory(parts.meta);
  }

  /**
   * To be called before SQLite opens the database: end the generation where that was of another one.
   *
   * @returns what was seen when the database was followed last, by whatever process
   * @throws {WaitError} while the WAL of the other one lies beside it
   */
  judge(live: LiveFiles): LastSeen | undefined {
    const seen = readLastSeen(this.#parts.meta);
    if (seen !== undefined && this.#leftWal.left === undefined) this.#judgeBy(seen, live);
    const { left } = this.#leftWal;
    refuseLeftWal(live, left);
    // Its application may have gone on with the file of that WAL: what the generation ends with is not its own.
    if (left !== undefined && live.isAnotherThan(left)) this.#endBecause("replaced");
    return seen;
  }

  #judgeBy(seen: LastSeen, live: LiveFiles): void {
    const main = live.mainStat();
    // Once for each file that may come to be there: it can take long, and is asked for at each try.
    if (this.#judged !== undefined && isSameFile(this.#judged, main)) return;
    this.#judged = main;
    const fate = fateOf(live, seen);
    if (typeof fate === "object") this.#remember(fate);
    else if (fate !== "same") this.#endBecause(fate);
  }

  #endBecause(fate: "replaced" | "overwritten"): void {
    this.#parts.generations.restartBecause(`database ${fate} by another process`);
  }

  /** It is followed, in a generation that is its own. */
  takenUp({ live }: Opened): void {
    this.#leftWal.forget();
    this.#rest = this.#judged = undefined;
    this.#write(live, { isAtRest: false });
  }

  /** To be called after each turn. */
  noteRest(opened: Opened): void {
    const { rest } = opened.follower;
    if (rest === undefined || rest === this.#rest) return;
    const seen = lookAtBoth(opened.live, { isAtRest: true });
    // Else at the next turn.
    if (seen === undefined || seen.header === "" || !isStillAt(rest, opened)) return;
    this.#rest = rest;
    writeLastSeen(this.#parts.meta, seen);
  }

  /** To be called before the database is let go. */
  noteEnd(opened: Opened | undefined): void {
    if (opened === undefined || !this.#parts.generations.isThere) return;
    try {
      const { rest } = opened.follower;
      this.#write(opened.live, { isAtRest: rest !== undefined && isStillAt(rest, opened) });
    } catch {
      // What was seen before says less, but nothing wrong.
    }
  }

  #write(live: LiveFiles, { isAtRest }: { isAtRest: boolean }): void {
    writeLastSeen(this.#parts.meta, lookAtBoth(live, { isAtRest }));
  }

  /** The database is gone, and is let go: its WAL may lie beside the next one. */
  lost(opened: Opened | undefined): void {
    if (opened === undefined || !this.#parts.generations.isThere) return;
    const { header } = opened.follower.shadow;
    // Not one that the next database has begun in its file.
    const left = header && opened.live.leftWal(header);
    if (left !== undefined) this.#remember(left);
  }

  #remember(left: LeftWal): void {
    try {
      this.#leftWal.remember(left);
    } catch (error) {
      this.#parts.troubles.note(error);
    }
  }
}

function isSameFile(before: SeenFile, now: SeenFile): boolean {
  return before.inode === now.inode && isUnwritten(before, now);
}

function isStillAt({ index, main }: Rest, { live }: Opened): boolean {
  const now = live.look();
  if (now === undefined || !hasSameCommits(index, now)) return false;
  const { size, modifiedAt } = live.mainStat();
  return size === main.size && modifiedAt.getTime() === main.modifiedAt.getTime();
}

/** The WAL that another process would find left beside the database; `undefined` where it knows of none. */
export function findLeftWal(live: LiveFiles, meta: MetaDirectory): LeftWal | undefined {
  const left = readLeftWal(meta);
  if (left !== undefined) return left;
  const seen = readLastSeen(meta);
  const fate = seen && fateOf(live, seen);
  return typeof fate === "object" ? fate : undefined;
}
