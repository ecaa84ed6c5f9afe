/** The errors that some caller branches on. Everything else is a plain `Error` with a cause. */

/** An object, file or folder that was asked for does not exist. */
export class NotFoundError extends Error {
  override readonly name = "NotFoundError";
}

/** The bytes of a WAL header, a frame or a stored object do not match their own checksum. */
export class ChecksumMismatchError extends Error {
  override readonly name = "ChecksumMismatchError";
}

/** A stored object is there but can't be decoded, or doesn't continue what comes before it. */
export class DamagedObjectError extends Error {
  override readonly name = "DamagedObjectError";

  /** @param key the object's key in its store */
  constructor(readonly key: string, message: string, options?: ErrorOptions) {
    super(`${key}: ${message}`, options);
  }
}

/** Stored objects are missing among those that are there: what is left can't be restored as a whole. */
export class BrokenHistoryError extends Error {
  override readonly name = "BrokenHistoryError";

  /** @param key of the object that is missing or in the way */
  constructor(message: string, readonly key: string) {
    super(`${message}: ${key}`);
  }
}

/** The age keys at hand don't fit a stored object, or are not enough to write one; this says nothing against it. */
export class EncryptionError extends Error {
  override readonly name = "EncryptionError";
}

/** SQLite could not get a lock in the time it was given; trying again later can help. */
export class BusyError extends Error {
  override readonly name = "BusyError";
}

/** What the user typed or configured can't be carried out; the message says what to write instead. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** One configured replica can't be opened; this says nothing against the others. The cause says why. */
export class UnopenedReplicaError extends Error {
  override readonly name = "UnopenedReplicaError";

  /** @param replica its name */
  constructor(readonly replica: string, options: ErrorOptions) {
    super(`replica ${replica}`, options);
  }
}

/** The replica can be read, and there is nothing in it that matches what was asked for. */
export class NoBackupsError extends Error {
  override readonly name = "NoBackupsError";
}

/** A store refused a request, failed, or could not be reached. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  /** The same request can succeed later without anybody doing anything. */
  readonly isTransient: boolean;
  /** The credentials are good but lack the right to do this. */
  readonly isDenied: boolean;
  /** Nothing was there to answer, or this machine itself refuses: to ask again soon costs nobody anything. */
  readonly isAway: boolean;
  /** It is this one object that the store can't give, as one that is archived: that says nothing of others. */
  readonly isOfObject: boolean;
  /** Stands for the message and its causes where those differ at each try of the same, as by the id of a request. */
  readonly sameAs: string | undefined;

  constructor(
    message: string,
    { isTransient = false, isDenied = false, isAway = false, isOfObject = false, sameAs, cause }: {
      isTransient?: boolean;
      isDenied?: boolean;
      isAway?: boolean;
      isOfObject?: boolean;
      sameAs?: string;
      cause?: unknown;
    } = {},
  ) {
    super(message, cause === undefined ? {} : { cause });
    this.isTransient = isTransient;
    this.isDenied = isDenied;
    this.isAway = isAway;
    this.isOfObject = isOfObject;
    this.sameAs = sameAs;
  }
}

/** Whether `error`, or what caused it, is a store's refusal to let these credentials do something. */
export function isDenied(error: unknown): boolean {
  return storeErrorIn(error)?.isDenied === true;
}

/** Whether `error`, or what caused it, is that nothing was there to answer for a store. */
export function isAway(error: unknown): boolean {
  return storeErrorIn(error)?.isAway === true;
}

/** Whether nobody answered for a server: what else is asked of it now would fail as well. */
export function isServerAway(error: unknown): boolean {
  const found = storeErrorIn(error);
  return found?.isAway === true && found.isTransient;
}

/** Whether `error`, or what caused it, is that a store can't give the one object. */
export function isOfObject(error: unknown): boolean {
  return storeErrorIn(error)?.isOfObject === true;
}

/** Whether `error`, or what caused it, is a store's. */
export function isOfStore(error: unknown): boolean {
  return storeErrorIn(error) !== undefined;
}

function storeErrorIn(error: unknown): StoreError | undefined {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof StoreError) return at;
  return undefined;
}

/**
 * `error.message`, then the messages of its causes, outermost first, joined as `outer: inner` in one line; one that is
 * said already is not repeated.
 */
export function describeError(error: unknown): string {
  return joinMessages(error, () => undefined);
}

/** `describeError()` without what differs at each try of the same: two that are equal are one trouble. */
export function identifyError(error: unknown): string {
  return joinMessages(error, (at) => at instanceof StoreError ? at.sameAs : undefined);
}

/** @param standIn what takes the place of the message of an error and of all that caused it */
function joinMessages(error: unknown, standIn: (at: unknown) => string | undefined): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; current !== undefined && current !== null && depth < 10; depth++) {
    const whole = standIn(current);
    const message = (whole ?? (current instanceof Error ? current.message : String(current)))
      .replace(/\s*\n\s*/g, " ");
    if (message !== "" && !parts.some((part) => says(part, message))) parts.push(message);
    current = whole === undefined && current instanceof Error ? current.cause : undefined;
  }
  return parts.join(": ");
}

/** Whether `text` ends in `message`, or holds it from one colon to another: not as letters of some other word. */
function says(text: string, message: string): boolean {
  return text.endsWith(message) || `: ${text}: `.includes(`: ${message}: `) ||
    text.includes(`: ${message} (`);
}

/** Stop for a mistake of our own; never for something the world can do. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
