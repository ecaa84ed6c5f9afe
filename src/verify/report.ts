/** What a verification tells, as `-json` prints it. */

/** What damage costs: which restores it makes impossible. */
export interface Cost {
  /** Restore points that it makes unreachable; a restore point is the state after a snapshot or a segment. */
  readonly pointCount: number;
  /** The first moment that can't be restored; absent when all can. */
  readonly from?: Date | undefined;
  /** The first moment after `from` that can be restored again; absent when there is none. */
  readonly until?: Date | undefined;
  /** Whether there is a moment before `from` that can be restored. */
  readonly isEarlierPossible: boolean;
}

/** An object that is bad or missing. */
export interface Damage {
  readonly key: string;
  readonly reason: string;
  readonly cost: Cost;
}

/**
 * What is worth knowing and loses nothing by itself.
 *
 * - `unproven`: nothing shows that an index follows the one before, or where an index without notes ended
 * - `note`: a note is damaged, the content behind it is whole
 * - `overlap`: a segment repeats a part of the one before
 * - `unfinished`: a transaction at the very end that never committed; a restore leaves it out
 * - `leftover`: an object or file that no restore uses
 * - `beginning`: the newest generation has WAL and no snapshot, or not yet, so that nothing restores it
 * - `extension`: the schema needs what only the application has, so that SQLite's check could not be made
 * - `unchecked`: something could not be looked at
 */
export type FindingKind =
  | "unproven"
  | "note"
  | "overlap"
  | "unfinished"
  | "leftover"
  | "beginning"
  | "extension"
  | "unchecked";

/** One finding, about one object or several of a kind. */
export interface Finding {
  readonly kind: FindingKind;
  /** Of the first object. */
  readonly key: string;
  readonly message: string;
  /** How many objects it is about. */
  readonly count: number;
}

/** How the indexes follow one another. */
export interface Continuity {
  /** Steps from an index to the next that a note proves, with the end of the index before. */
  readonly proven: number;
  /** Steps that only the salts speak for. */
  readonly evident: number;
  readonly unproven: number;
}

/** What was found out about one generation. */
export interface GenerationReport {
  readonly generation: string;
  readonly snapshotCount: number;
  readonly segmentCount: number;
  /** Stored bytes that were read. */
  readonly bytes: number;
  readonly pointCount: number;
  readonly reachableCount: number;
  /** The earliest and the latest reachable point; absent when there is none. */
  readonly earliestAt?: Date | undefined;
  readonly latestAt?: Date | undefined;
  readonly continuity: Continuity;
  /** Whole databases that SQLite's integrity check has passed; 0 unless deep. */
  readonly integrityCheckCount: number;
  /** Snapshots that were compared with the one before and the WAL between; 0 unless deep. */
  readonly comparedSnapshotCount: number;
  readonly damages: readonly Damage[];
  readonly findings: readonly Finding[];
}

/** What was found out about one replica. */
export interface VerifyReport {
  readonly replica: string;
  readonly place: string;
  readonly isDeep: boolean;
  /** Whether all of every generation was looked at, and no damage found. */
  readonly isProven: boolean;
  readonly generations: readonly GenerationReport[];
  /** What is about no single generation. */
  readonly findings: readonly Finding[];
}

/** Whether anything of a generation could not be looked at, or is not there yet: nothing is proven by what was. */
export function isUnchecked({ findings }: GenerationReport): boolean {
  return findings.some(({ kind }) => kind === "unchecked" || kind === "beginning");
}
