/** For whom the shadow WAL is kept, and when it is kept for somebody no longer; decided from plain values. */

/** A shadow file. */
export interface ShadowFile {
  readonly index: number;
  readonly size: number;
}

/** What keeps shadow files from being dropped. */
export interface ShadowHolder {
  /** Where the replica stands in the current generation; `undefined` while that isn't known. */
  readonly index: number | undefined;
  /** Whether its last try failed. */
  readonly isFailing: boolean;
  /** Whether it was given up before and has not been heard of since. */
  readonly isAbandoned: boolean;
}

/** What is decided on. */
export interface ShadowState<T extends ShadowHolder> {
  readonly holders: readonly T[];
  readonly files: readonly ShadowFile[];
  /** The index that is being written. */
  readonly currentIndex: number;
  /** Bytes of the database file. */
  readonly databaseBytes: number;
  /** 0 and less: no limit. */
  readonly maxBytes: number;
}

/** A replica that is given up, and the bytes that were kept for it. */
export interface Abandoned<T> {
  readonly holder: T;
  readonly bytes: number;
}

/** Beyond this many times the database's size, a snapshot catches up sooner than the WAL does. */
const HOPELESS_FACTOR = 2;

/**
 * The replicas that the shadow WAL is no longer kept for: it has outgrown the limit because of them, and they are
 * dead, or so far behind that a new snapshot is the shorter way. One that is merely slow goes on.
 */
export function chooseAbandoned<T extends ShadowHolder>(state: ShadowState<T>): Abandoned<T>[] {
  if (state.maxBytes <= 0) return [];
  return state.holders.flatMap((holder) => {
    if (holder.isAbandoned) return [];
    const bytes = bytesFor(holder, state);
    const isHopeless = holder.isFailing || bytes > HOPELESS_FACTOR * state.databaseBytes;
    return bytes > state.maxBytes && isHopeless ? [{ holder, bytes }] : [];
  });
}

/** Bytes that could go if it weren't for this one; the newest two files stay in any case. */
function bytesFor<T extends ShadowHolder>({ index = 0 }: ShadowHolder, state: ShadowState<T>): number {
  return state.files
    .filter((file) => file.index >= index - 1 && file.index < state.currentIndex - 1)
    .reduce((sum, { size }) => sum + size, 0);
}

/** The lowest index that somebody still needs; without anybody, the one that is being written. */
export function neededFrom(holders: readonly ShadowHolder[], currentIndex: number): number {
  const kept = holders.filter(({ isAbandoned }) => !isAbandoned).map(({ index }) => index ?? 0);
  return Math.min(currentIndex, ...kept);
}
