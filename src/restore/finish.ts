/**
 * The file that is restored into and how it becomes the database: a temporary name beside it, sync, rename, sync of the
 * folder. On failure all that was made is removed.
 *
 * The temporary name is `<target>.tmp`, always the same, so that a crash leaves one file that the next restore
 * overwrites. Two restores to one target keep apart so: the second sees that a process has the file open and refuses;
 * where that can't be seen (another machine or container) it takes a new file under the name, and the first finds at
 * its end that the name is no longer its own.
 */
import { type Files, isSameFile, type OpenFile, systemCode } from "../runtime/files.ts";
import { makeFolders } from "../runtime/folders.ts";
import { linkTarget, processesHolding, realPath } from "../runtime/open_files.ts";
import { basename, parentFolder } from "../runtime/paths.ts";

/** Who may read what is restored. */
export interface FinishOptions {
  readonly files: Files;
  /** Permission bits of the database, whatever the umask. Default 0o600. */
  readonly mode?: number | undefined;
  /** Default: whoever runs the program. */
  readonly owner?: OutputOwner | undefined;
}

/** Who a restored database is given to; without a group the group stays. */
export interface OutputOwner {
  readonly uid: number;
  readonly gid?: number | undefined;
}

const FOLDER_MODE = 0o700;
const DEFAULT_MODE = 0o600;

/** What SQLite keeps beside a database; with a restored one it would be taken for its own. */
const SIDE_SUFFIXES = ["-wal", "-shm", "-journal"] as const;

/** A restore's output on its way. `finish()` makes it the database; being disposed of before that removes it. */
export class RestoreOutput implements AsyncDisposable {
  readonly #options: FinishOptions;
  readonly #path: string;
  readonly #madeFolders: readonly string[];
  #isFinished = false;
  #mayHaveSideFiles = false;

  private constructor(
    readonly file: OpenFile,
    { path, madeFolders, options }: {
      path: string;
      madeFolders: readonly string[];
      options: FinishOptions;
    },
  ) {
    this.#path = path;
    this.#madeFolders = madeFolders;
    this.#options = options;
  }

  /**
   * Check the target and open the temporary file, with missing folders made.
   *
   * @param path absolute
   * @throws {Error} when the target exists, or its side files or temporary file are in use
   */
  static async open(path: string, options: FinishOptions): Promise<RestoreOutput> {
    const { files, owner } = options;
    await refuseExisting(path, files);
    const madeFolders = await missingFolders(parentFolder(path), files);
    try {
      await makeFolders(files, parentFolder(path), { mode: FOLDER_MODE });
      await refuseSideFilesInUse(path, files);
      const file = await openTemporary(path, options);
      try {
        if (options.mode !== undefined) await files.changeMode(file.path, options.mode);
        if (owner !== undefined) await giveAway([...madeFolders, file.path], { owner, files });
      } catch (error) {
        file.close();
        await files.remove(file.path).catch(() => {});
        throw error;
      }
      return new RestoreOutput(file, { path, madeFolders, options });
    } catch (error) {
      await removeFolders(madeFolders, files);
      throw explainWrite(error, path);
    }
  }

  /** @throws {Error} when fewer than `bytes` are free where the target is */
  async requireFree(bytes: number): Promise<void> {
    const free = await this.#options.files.freeBytes(parentFolder(this.#path));
    if (free >= bytes) return;
    throw new Error(
      `cannot restore ${this.#path}: the database needs ${bytes} bytes and only ${free} are free in ` +
        `${parentFolder(this.#path)}: make room or restore elsewhere`,
    );
  }

  /**
   * Before SQLite looks at the temporary file: remove what an earlier restore of another kind left beside it, which
   * SQLite would take for its own. What SQLite itself leaves there goes when the output is disposed of.
   */
  async removeTemporarySideFiles(): Promise<void> {
    this.#mayHaveSideFiles = true;
    for (const suffix of SIDE_SUFFIXES) await this.#options.files.remove(this.file.path + suffix);
  }

  /**
   * Bring the file to the disk and give it its name.
   *
   * @throws {Error} also when the database has its name, but a folder can't be synced: the message says so
   */
  async finish(): Promise<void> {
    const { files } = this.#options;
    await this.file.sync();
    await refuseExisting(this.#path, files);
    await refuseSideFilesInUse(this.#path, files);
    for (const suffix of SIDE_SUFFIXES) await files.remove(this.#path + suffix);
    if (!await this.#isOurs(this.file.path)) throw this.#takenOver();
    await files.rename(this.file.path, this.#path);
    // Taken over at the very last moment: what another restore has begun is no database yet.
    if (!await this.#isOurs(this.#path)) {
      await files.rename(this.#path, this.file.path);
      throw this.#takenOver();
    }
    this.#isFinished = true;
    this.file.close();
    await this.#syncFolders();
  }

  /** All of them, also when one can't be: each that is makes a loss less likely. */
  async #syncFolders(): Promise<void> {
    let failure: Error | undefined;
    for (const folder of [this.#path, ...this.#madeFolders].map(parentFolder)) {
      try {
        await this.#options.files.syncFolder(folder);
      } catch (cause) {
        // Its own words, not those of a failed write: nobody is to restore again for this.
        failure ??= new Error(
          `the database is restored and in place at ${this.#path}, but a power cut may undo that: ` +
            `the folder ${folder} can't be synced`,
          { cause },
        );
      }
    }
    if (failure !== undefined) throw failure;
  }

  #takenOver(): Error {
    return new Error(`cannot restore ${this.#path}: another restore to it has begun meanwhile`);
  }

  async #isOurs(path: string): Promise<boolean> {
    return isSameFile(await this.#options.files.stat(path), this.file.statSync());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isFinished) return;
    const { files } = this.#options;
    // Never the file of a restore that took the name over.
    const isOurs = await this.#isOurs(this.file.path).catch(() => false);
    this.file.close();
    // What made the restore fail matters more than that this failed too, as a broken disk makes both.
    if (isOurs) await files.remove(this.file.path).catch(() => {});
    if (isOurs && this.#mayHaveSideFiles) await this.removeTemporarySideFiles().catch(() => {});
    await removeFolders(this.#madeFolders, files);
  }
}

/** @throws {Error} when something is at `path`, be it a symbolic link that leads to nothing */
export async function refuseExisting(path: string, files: Files): Promise<void> {
  if (await files.stat(path) !== undefined) {
    throw new Error(`cannot restore, output path already exists: ${path}`);
  }
  const leadsTo = linkTarget(path);
  if (leadsTo === undefined) return;
  // The rename would put the database in the place of the link, on another disk than was meant.
  throw new Error(
    `cannot restore ${path}: it is a symbolic link, and SQLite keeps the -wal beside the file that it leads to: ` +
      `give the path of that file, ${leadsTo}`,
  );
}

/** An application that still has the WAL of a deleted database would go on writing into what we restore. */
async function refuseSideFilesInUse(path: string, files: Files): Promise<void> {
  const found: string[] = [];
  for (const suffix of SIDE_SUFFIXES) {
    const stat = await files.stat(path + suffix);
    if (stat?.isFolder) throw folderInTheWay(path, path + suffix);
    if (stat !== undefined) found.push(path + suffix);
  }
  if (found.length === 0) return;
  const holders = processesHolding([path, ...found].map(realPath));
  if (holders.length === 0) return;
  throw new Error(
    `cannot restore ${path}: process ${holders.join(", ")} still has the deleted database or its ` +
      `${basename(found[0]!)} open: stop it first`,
  );
}

function folderInTheWay(path: string, folder: string): Error {
  return new Error(
    `cannot restore ${path}: the folder ${folder} is in the way: move it or restore elsewhere`,
  );
}

async function openTemporary(path: string, { files, mode = DEFAULT_MODE }: FinishOptions): Promise<OpenFile> {
  const temporaryPath = `${path}.tmp`;
  const stat = await files.stat(temporaryPath);
  if (stat?.isFolder) throw folderInTheWay(path, temporaryPath);
  if (stat !== undefined) {
    const holders = processesHolding([realPath(temporaryPath)]);
    if (holders.length > 0) {
      throw new Error(
        `cannot restore ${path}: process ${holders.join(", ")} is restoring to it at this moment`,
      );
    }
    await files.remove(temporaryPath);
  } else if (linkTarget(temporaryPath) !== undefined) {
    throw new Error(
      `cannot restore ${path}: the symbolic link ${temporaryPath}, which leads to nothing, is in the way: remove it`,
    );
  }
  // What SQLite had made beside one that was killed while it was checked.
  for (const sidePath of SIDE_SUFFIXES.map((suffix) => temporaryPath + suffix)) {
    if (await files.stat(sidePath) !== undefined) await files.remove(sidePath);
  }
  return await files.open(temporaryPath, { access: "create-new", mode, hasLargeWrites: true });
}

async function giveAway(
  paths: readonly string[],
  { owner, files }: { owner: OutputOwner; files: Files },
): Promise<void> {
  for (const path of paths) {
    const gid = owner.gid ?? (await files.stat(path))?.gid;
    if (gid === undefined) continue;
    await files.changeOwner(path, { uid: owner.uid, gid });
    const now = await files.stat(path);
    if (now?.uid === owner.uid && now.gid === gid) continue;
    throw new Error(`cannot give ${path} to ${owner.uid}:${gid}: the system refuses it, only root may do so`);
  }
}

/** The folders that are missing down to `path`, outermost first. */
async function missingFolders(path: string, files: Files): Promise<string[]> {
  if (await files.stat(path) !== undefined || parentFolder(path) === path) return [];
  return [...await missingFolders(parentFolder(path), files), path];
}

async function removeFolders(folders: readonly string[], files: Files): Promise<void> {
  for (const folder of folders.toReversed()) {
    // Somebody may have put something there meanwhile: then it stays.
    await files.removeEmptyFolder(folder).catch(() => false);
  }
}

/** A system error of writing the target in words. */
export function explainWrite(error: unknown, path: string): unknown {
  const why: Record<string, string> = {
    EACCES: "no permission to write there",
    EPERM: "no permission to write there",
    EROFS: "the file system is read-only",
    ENOSPC: "the disk is full",
    EDQUOT: "the disk quota is used up",
    EFBIG: "the file system takes no file of that size",
    ENOTDIR: "a part of the path is a file: move it away or restore elsewhere",
    ENAMETOOLONG: "its name, or that of a file beside it, is too long: restore under a shorter one",
    EEXIST: "another restore to it has begun at this moment",
  };
  const reason = why[systemCode(error) ?? ""];
  if (reason === undefined) return error;
  return new Error(`cannot restore ${path}: ${reason}`, { cause: error });
}
