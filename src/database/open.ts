/**
 * From a path to a database that we follow: what can be opened now, what is worth waiting for, what never will work.
 */
import { Follower, type FollowerOptions, LostWalError } from "./follower.ts";
import type { LastSeen } from "./last_seen.ts";
import { type DatabaseKind, type LeftWal, LiveFiles, LOST_FILE_ADVICE } from "./live_files.ts";
import type { MetaDirectory } from "./meta_directory.ts";
import { describeError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { type Files, systemCode } from "../runtime/files.ts";
import { isRefusal } from "../runtime/system_code.ts";
import { isHeldDeleted, linkedFile, realPath } from "../runtime/open_files.ts";
import { parentFolder, resolve } from "../runtime/paths.ts";
import { classifySqliteError, SqliteConnection } from "../runtime/sqlite.ts";

/** The database can't be followed now, but may be later: the message says what is waited for. */
export class WaitError extends Error {
  override readonly name = "WaitError";
  /** Whether the application has not made the database yet, so that there is nothing to lose. */
  readonly isNew: boolean;

  constructor(message: string, { isNew = false }: { isNew?: boolean } = {}) {
    super(message);
    this.isNew = isNew;
  }
}

/** Refuse a meta directory whose clean-up could touch somebody else's files. */
export function checkMetaPath(path: string, metaPath: string): void {
  const meta = resolve(metaPath);
  for (let folder = parentFolder(resolve(path));; folder = parentFolder(folder)) {
    if (folder === meta) {
      throw new Error(`meta-path ${metaPath} holds the database itself: give it a folder of its own`);
    }
    if (folder === parentFolder(folder)) return;
  }
}

/**
 * Whether the file at `path` can be taken up.
 *
 * @throws {WaitError} when it isn't there or is still being made
 */
export function openLiveFiles(path: string, files: Files): LiveFiles {
  const stat = attempt(path, () => files.statSync(path));
  if (stat === undefined) throw new WaitError("the database does not exist yet", { isNew: true });
  if (!stat.isFile) throw new Error(`${path} is not a file: give the path of a SQLite database`);
  refuseNetworkFileSystem(path, files);
  const live = attempt(path, () => new LiveFiles(path, files));
  const linked = linkedFile(path);
  if (linked !== undefined) {
    live.close();
    throw new Error(
      `${path} is a symbolic link, and SQLite keeps the -wal beside the file that it leads to: ` +
        `give the path of that file, ${linked}`,
    );
  }
  const kind = kindOf(live);
  if (kind === "database") return live;
  live.close();
  // An application may still choose page size, auto_vacuum or encoding: only a whole header says that it has.
  if (kind === "empty") {
    throw new WaitError("the database is empty, its application has not created it yet", { isNew: true });
  }
  throw new Error(
    `${path} is not a SQLite database, or it is encrypted as a whole: walbrook can't replicate it`,
  );
}

function kindOf(live: LiveFiles): DatabaseKind {
  try {
    return attempt(live.path, () => live.kind());
  } catch (error) {
    live.close();
    throw error;
  }
}

/**
 * Where another machine may have the database open as well. The processes of a WAL database share memory, the `-shm`,
 * so those of two machines don't see each other, and a checkpoint of ours could destroy what the other one reads.
 */
const NETWORK_FILE_SYSTEMS: ReadonlySet<string> = new Set([
  ...["nfs", "smb", "smb3", "cifs", "9p", "ceph", "afs", "coda", "vboxsf"],
  ...[
    "nfs",
    "sshfs",
    "smbnetfs",
    "glusterfs",
    "ceph",
    "davfs",
    "s3fs",
    "gcsfuse",
    "rclone",
    "juicefs",
    "mountpoint-s3",
  ]
    .map((name) => `fuse.${name}`),
]);

function refuseNetworkFileSystem(path: string, files: Files): void {
  const type = files.fileSystemTypeSync(path);
  if (type === undefined || !NETWORK_FILE_SYSTEMS.has(type)) return;
  throw new Error(
    `${path} lies on a network file system (${type}), where SQLite's WAL mode can lose commits: ` +
      "move the database to a disk of this machine",
  );
}

/**
 * Refuse a database whose `-wal` or `-shm` has lost its name while a program has it open: SQLite would make new ones for
 * us, and the two would overwrite what the other has written.
 *
 * @param options.isDoubtful whether that was seen to happen; else it is looked for where the two are not both there, or
 *   are not those that were seen last
 * @throws {WaitError}
 */
export function refuseLostFiles(
  live: LiveFiles,
  { isDoubtful, seen }: { isDoubtful: boolean; seen: LastSeen | undefined },
): void {
  const paths = [live.walPath, `${live.path}-shm`];
  const [wal, index] = paths.map((path) => live.files.statSync(path));
  const areBothThere = wal !== undefined && index !== undefined;
  const areOthers = seen !== undefined && (wal?.inode !== seen.wal.inode || index?.inode !== seen.indexInode);
  if (!isDoubtful && (!live.isWal() || areBothThere && !areOthers)) return;
  const { device } = live.mainStat();
  // Those of another container are not seen.
  const changedMs = isDoubtful ? undefined : live.files.statSync(live.folderPath)?.changedMs;
  const isHeld = () => isHeldDeleted(paths.map(realPath), { device, changedMs });
  // Not where a WAL may be gone on with: it must not be taken into the database.
  if (wal !== undefined && (index !== undefined || !isDoubtful)) {
    if (isHeld()) throw new WaitError(LOST_FILE_ADVICE);
    return;
  }
  if (isAlone(live.path)) return;
  // An application that has opened it at this moment has made them.
  const areThere = paths.every((path) => live.files.statSync(path) !== undefined);
  if (isDoubtful || !areThere || isHeld()) {
    throw new WaitError(isDoubtful ? LOST_FILE_ADVICE : MISSING_FILE_ADVICE);
  }
}

/**
 * Refuse a database beside which the WAL of the one lies whose place it took.
 *
 * @throws {WaitError}
 */
export function refuseLeftWal(live: LiveFiles, left: LeftWal | undefined): void {
  if (left === undefined || !live.hasBesides(left)) return;
  throw new WaitError(
    `the database file was replaced, and beside it lies the -wal of the one before, which would spoil it: while its ` +
      `application is stopped, move ${live.walPath} and ${live.path}-shm away, or put back the file that they belong to`,
  );
}

/** What to do where a program has a database open beside which its files are not seen. */
const MISSING_FILE_ADVICE =
  "a program has the database open, but its -wal and -shm are not both there; if that lasts " +
  "they were deleted while in use: restart the application";

/**
 * Whether nobody else has the database open; what is in its WAL is then taken into it.
 *
 * @throws {Error} SQLite's, in our words
 */
export function isAlone(path: string): boolean {
  try {
    using alone = new SqliteConnection(path, { access: "read-write" });
    alone.exec("PRAGMA locking_mode = EXCLUSIVE");
    alone.value("SELECT count(*) FROM sqlite_schema");
    return true;
  } catch (error) {
    if (classifySqliteError(error) === "busy") return false;
    throw explain(path, error);
  }
}

/**
 * Begin to read; the journal mode becomes WAL where it isn't. `live` stays open also when that fails.
 *
 * @throws {WaitError} while the application keeps everybody out
 */
export function openFollower(options: FollowerOptions): Follower {
  const { path } = options.live;
  try {
    ensureWalMode(path);
    return new Follower(options);
  } catch (error) {
    throw explain(path, error);
  }
}

/** By each name SQLite makes a `-wal` of its own: two applications destroy the database, and we see what one commits. */
export function warnOfOtherNames(live: LiveFiles, logger: Logger): void {
  const { linkCount } = live.mainStat();
  if (linkCount <= 1) return;
  logger.warn(
    "the database file has other names too (hard links): what is committed by one of those is not replicated, " +
      "and can destroy the database; let everybody open it by this one",
    { "other-names": linkCount - 1 },
  );
}

/**
 * A read-only connection looks first: a read-write one that is the last to close would delete the WAL, and with it
 * the proof that nothing was lost.
 */
function ensureWalMode(path: string): void {
  try {
    using reader = new SqliteConnection(path, { access: "read-only" });
    if (reader.value("PRAGMA journal_mode") === "wal") return;
  } catch (error) {
    // What a killed application left in a rollback journal can be undone only by a connection that may write.
    if (classifySqliteError(error) !== "read-only") throw error;
  }
  using writer = new SqliteConnection(path, { access: "read-write" });
  const mode = writer.value("PRAGMA journal_mode = wal");
  if (mode !== "wal") throw new WaitError(`WAL mode can't be set, the journal mode stays "${mode}"`);
}

/**
 * Read the schema, as any reader does. Nothing is written, but SQLite makes `-wal` and `-shm` where a database in WAL
 * mode lacks them.
 *
 * @throws {WaitError} while the application keeps everybody out, or before it has undone what it left half-done
 */
export function readSchema(path: string, { busyTimeoutMs }: { busyTimeoutMs: number }): void {
  try {
    using reader = new SqliteConnection(path, { access: "read-only", busyTimeoutMs });
    reader.value("SELECT count(*) FROM sqlite_schema");
  } catch (error) {
    if (classifySqliteError(error) !== "read-only") throw explain(path, error);
    throw new WaitError("an application that was killed has left a rollback journal: replicate undoes it");
  }
}

/** What a failure to write into the meta directory means: wait, or let the user mend it. */
export function explainMetaError(meta: MetaDirectory, error: unknown): unknown {
  const code = systemCode(error);
  const problem = classifySqliteError(describeCauses(error));
  if (code === "ENOSPC" || code === "EDQUOT" || (code === undefined && problem === "full")) {
    return new WaitError(`the disk of ${meta.path} is full: free some space there`);
  }
  if (code === "ENOTDIR" || code === "EEXIST") {
    return new Error(`cannot make ${meta.path}, walbrook's own folder: a file is in the way, move it away`, {
      cause: error,
    });
  }
  const isRefused = isRefusal(error) || code === "EROFS" ||
    (code === undefined && (problem === "read-only" || problem === "cannot open"));
  if (!isRefused || error instanceof WaitError) return error;
  return new Error(
    `cannot write to ${meta.path}, where walbrook keeps its copy of the WAL: let it write beside the database`,
    { cause: error },
  );
}

/** SQLite's own words may be those of a cause. */
function describeCauses(error: unknown): Error {
  return new Error(describeError(error));
}

function explain(path: string, error: unknown): unknown {
  if (error instanceof WaitError) return error;
  if (error instanceof LostWalError) return new WaitError(error.message);
  switch (classifySqliteError(error)) {
    case "busy":
      return new WaitError("the database is locked: its application keeps everybody else out");
    case "not a database":
      return new Error(`${path} is not a SQLite database, or it is encrypted: walbrook can't replicate it`, {
        cause: error,
      });
    case "read-only":
    case "cannot open":
      return new Error(
        `cannot open ${path} with its -wal and -shm: walbrook must be able to read and write them and their folder`,
        { cause: error },
      );
    case "full":
      return new WaitError("the disk is full");
    case "corrupt":
      return new Error(
        `${path} is damaged: restore it, or mend it with sqlite3's .recover, before it is replicated`,
        { cause: error },
      );
    default:
      return explainSystem(path, error);
  }
}

function attempt<T>(path: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw explainSystem(path, error);
  }
}

/** Where and what, for an error of the system or of the disk below SQLite; others as they are. */
function explainSystem(path: string, error: unknown): unknown {
  const code = systemCode(error);
  if (isRefusal(error)) {
    return new Error(`cannot read and write ${path}: give the user that runs walbrook access to it`, {
      cause: error,
    });
  }
  if (code === "EROFS") {
    return new Error(`cannot write to ${path}: mount its file system for writing`, { cause: error });
  }
  if (code === undefined ? classifySqliteError(error) !== "io" : code !== "EIO") return error;
  return new Error(`cannot read ${path}: look at its disk, and at the system's log`, { cause: error });
}
