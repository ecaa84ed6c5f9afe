/**
 * Files, the one way to them. Everything that writes takes a `Files`, so that a test can record every write,
 * fsync and rename, or make one of them fail; the program itself passes `systemFiles`.
 *
 * Descriptors are numbers, never `FileHandle`s: a forgotten handle is closed by Bun's garbage collector, and
 * closing any descriptor of a database drops the locks that SQLite holds on it.
 */
import * as fs from "node:fs";
import { deno, denoStat } from "./deno_stat.ts";
import { DenoWriter } from "./deno_writer.ts";
import { fileSystemTypeSync } from "./file_system_type.ts";
import { systemCode } from "./system_code.ts";

export { systemCode };

/** What the file system knows of a path. Sizes are bytes. */
export interface FileStat {
  readonly size: number;
  readonly modifiedAt: Date;
  /** When content, name or attributes last changed, a time that nobody can set; milliseconds since 1970. */
  readonly changedMs: number;
  readonly isFile: boolean;
  readonly isFolder: boolean;
  /** Permission bits, `0o777` at most. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Device and inode: the same file under whatever name. */
  readonly device: number;
  readonly inode: number;
  /** How many names the file has. */
  readonly linkCount: number;
}

/** Whether both are of one file, under whatever names; `undefined` is none. */
export function isSameFile(left: FileStat | undefined, right: FileStat): boolean {
  return left?.inode === right.inode && left.device === right.device;
}

/** Who owns a new file; a refusal by the system is passed over, as the format's origin does. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** How a file is opened. `create` makes or empties it, `create-new` refuses one that is there. */
export type FileAccess = "read" | "read-write" | "create" | "create-new";

/** Options of opening a file. */
export interface OpenOptions {
  readonly access: FileAccess;
  /** Permission bits of a new file, before the umask. Default 0o600. */
  readonly mode?: number;
  /**
   * Large writes go on beside everything else on Deno too, by a second descriptor: never for a file that SQLite has
   * locked. Default false.
   */
  readonly hasLargeWrites?: boolean;
}

/**
 * An open file. The `…Sync` calls are for short work beside SQLite; bulk work awaits.
 *
 * Never await on a file that SQLite has locked: Deno duplicates the descriptor and closes the copy, and closing any
 * descriptor of a file drops the process's locks on it.
 */
export interface OpenFile extends Disposable {
  readonly path: string;
  /** Fill `into` from byte `position`; returns the bytes read, fewer only at the end of the file. */
  readSync(into: Uint8Array, position: number): number;
  read(into: Uint8Array, position: number): Promise<number>;
  /** Write all of `bytes` at byte `position`. */
  writeSync(bytes: Uint8Array, position: number): void;
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Bring content and size to the disk. */
  syncSync(): void;
  sync(): Promise<void>;
  truncateSync(size: number): void;
  statSync(): FileStat;
  /** Set both times of the file. */
  setTimesSync(at: Date): void;
  /** Never fails; safe to call twice. What has to be on the disk is synced before. */
  close(): void;
}

/** An entry of a folder. */
export interface FolderEntry {
  readonly name: string;
  readonly isFolder: boolean;
}

/** What a listing needs of a file. Only for now: the next one may come in the same object. */
export interface FileLook {
  readonly size: number;
  /** Whole milliseconds since 1970, those of the date that `FileStat` has. */
  readonly modifiedMs: number;
  readonly isFile: boolean;
}

/** The file system. Paths are whole; a missing path is `undefined` where the type says so, else an error. */
export interface Files {
  openSync(path: string, options: OpenOptions): OpenFile;
  open(path: string, options: OpenOptions): Promise<OpenFile>;
  statSync(path: string): FileStat | undefined;
  stat(path: string): Promise<FileStat | undefined>;
  /**
   * Look at several files of one folder, for a listing; `visit` is called with the place of a name when it is there.
   * Only where that costs less than asking for one after the other, and then with `listNames`.
   */
  readonly visitFiles?:
    | ((
      folder: string,
      options: { readonly names: readonly string[]; readonly visit: (at: number, look: FileLook) => void },
    ) => Promise<void>)
    | undefined;
  /** The names in a folder, of whatever they are; `undefined` when it isn't there. */
  readonly listNames?: ((path: string) => Promise<string[] | undefined>) | undefined;
  /** The entries of a folder in no order; `undefined` when it isn't there. */
  listSync(path: string): FolderEntry[] | undefined;
  list(path: string): Promise<FolderEntry[] | undefined>;
  /** Make a folder whose parent is there; one that is there already is fine. */
  makeFolderSync(path: string, options: { mode: number }): void;
  makeFolder(path: string, options: { mode: number }): Promise<void>;
  /** Atomic; replaces what is at `to`. Durable only after `syncFolder` of the parent. */
  renameSync(from: string, to: string): void;
  rename(from: string, to: string): Promise<void>;
  /** Give the file at `from` a second name: `EEXIST` when there is something at `to`. Not every file system can. */
  linkSync(from: string, to: string): void;
  /** Remove a file; one that is gone already is fine. Never for a folder: Deno removes an empty one. */
  removeSync(path: string): void;
  remove(path: string): Promise<void>;
  /** Remove a folder with all that is in it; one that is gone already is fine. */
  removeTreeSync(path: string): void;
  removeTree(path: string): Promise<void>;
  /** Remove a folder if nothing is in it; `false` when something is. One that is gone already is fine. */
  removeEmptyFolder(path: string): Promise<boolean>;
  /** Bring the entries of a folder to the disk. */
  syncFolderSync(path: string): void;
  syncFolder(path: string): Promise<void>;
  /** Give a path to `owner`; a refusal is passed over. */
  changeOwnerSync(path: string, owner: Owner): void;
  changeOwner(path: string, owner: Owner): Promise<void>;
  /** Give a path these permission bits, whatever the umask. */
  changeMode(path: string, mode: number): Promise<void>;
  /** Bytes that an ordinary user may still write on the file system that holds `path`. */
  freeBytes(path: string): Promise<number>;
  /** `nfs`, `cifs`, `fuse.sshfs`…; `undefined` for a plainly local file system, and where nothing is known. */
  fileSystemTypeSync(path: string): string | undefined;
}

/** As the system says it when a part of the path is a file, with its code. */
export function notAFolder(path: string): Error {
  return Object.assign(new Error(`mkdir ${path}: not a directory`), { code: "ENOTDIR" });
}

const FLAGS: Readonly<Record<FileAccess, string>> = {
  "read": "r",
  "read-write": "r+",
  "create": "w+",
  "create-new": "wx+",
};

/** What one of the calls with a callback comes to: `node:util`, which has this, takes 2 ms of a start to load. */
function answerOf<T>(
  call: (done: (error: Error | null, answer?: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, answer) => error === null || error === undefined ? resolve(answer as T) : reject(error));
  });
}

const fsRead = (descriptor: number, into: Uint8Array, offset: number, position: number): Promise<number> =>
  answerOf((done) => fs.read(descriptor, into, offset, into.length - offset, position, done));
const fsWrite = (descriptor: number, bytes: Uint8Array, offset: number, position: number): Promise<number> =>
  answerOf((done) => fs.write(descriptor, bytes, offset, bytes.length - offset, position, done));
const fsSync = (descriptor: number): Promise<void> => answerOf((done) => fs.fsync(descriptor, done));
const fsOpen = (path: string, flags: string, mode: number): Promise<number> =>
  answerOf((done) => fs.open(path, flags, mode, done));

function statOf(stat: fs.Stats): FileStat {
  return {
    size: stat.size,
    modifiedAt: stat.mtime,
    changedMs: stat.ctimeMs,
    isFile: stat.isFile(),
    isFolder: stat.isDirectory(),
    mode: stat.mode & 0o777,
    uid: stat.uid,
    gid: stat.gid,
    device: stat.dev,
    inode: stat.ino,
    linkCount: stat.nlink,
  };
}

class SystemFile implements OpenFile {
  #descriptor: number | undefined;
  #writer: DenoWriter | undefined;
  #mayHaveWriter: boolean;

  constructor(readonly path: string, descriptor: number, { hasLargeWrites = false }: OpenOptions) {
    this.#descriptor = descriptor;
    this.#mayHaveWriter = hasLargeWrites;
  }

  get #fd(): number {
    if (this.#descriptor === undefined) throw new Error(`${this.path} is closed`);
    return this.#descriptor;
  }

  readSync(into: Uint8Array, position: number): number {
    let done = 0;
    while (done < into.length) {
      const count = fs.readSync(this.#fd, into, done, into.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const count = await fsRead(this.#fd, into, done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  writeSync(bytes: Uint8Array, position: number): void {
    let done = 0;
    while (done < bytes.length) {
      done += fs.writeSync(this.#fd, bytes, done, bytes.length - done, position + done);
    }
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    if (this.#mayHaveWriter && this.#descriptor !== undefined && DenoWriter.isFor(bytes)) {
      this.#writer ??= DenoWriter.open(this.path, { descriptor: this.#descriptor });
      this.#mayHaveWriter = this.#writer !== undefined;
      if (this.#writer !== undefined) return await this.#writer.write(bytes, position);
    }
    let done = 0;
    while (done < bytes.length) {
      done += await fsWrite(this.#fd, bytes, done, position + done);
    }
  }

  syncSync(): void {
    fs.fsyncSync(this.#fd);
  }

  sync(): Promise<void> {
    return fsSync(this.#fd);
  }

  truncateSync(size: number): void {
    fs.ftruncateSync(this.#fd, size);
  }

  statSync(): FileStat {
    return statOf(fs.fstatSync(this.#fd));
  }

  setTimesSync(at: Date): void {
    // A microsecond more: Deno cuts the fraction of a second, which a float holds a little too low.
    const seconds = (at.getTime() + 0.001) / 1000;
    fs.futimesSync(this.#fd, seconds, seconds);
  }

  close(): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    // Whatever close says, the number may be somebody else's from now on.
    this.#descriptor = undefined;
    this.#writer?.close();
    try {
      fs.closeSync(descriptor);
    } catch {
      // What had to last was synced before; who closes several files must get to the next one.
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** `act`'s result, `undefined` when the path isn't there. */
function unlessMissingSync<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function unlessMissing<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  const code = systemCode(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

function entryOf(entry: fs.Dirent): FolderEntry {
  return { name: entry.name, isFolder: entry.isDirectory() };
}

function isExistingFolder(error: unknown, path: string): boolean {
  return systemCode(error) === "EEXIST" && fs.statSync(path).isDirectory();
}

/** The real file system. */
export const systemFiles: Files = {
  openSync: (path, options) =>
    new SystemFile(path, fs.openSync(path, FLAGS[options.access], options.mode ?? 0o600), options),
  open: async (path, options) =>
    new SystemFile(path, await fsOpen(path, FLAGS[options.access], options.mode ?? 0o600), options),
  statSync: (path) =>
    unlessMissingSync(() => deno === undefined ? statOf(fs.statSync(path)) : denoStat(deno, path)),
  async stat(path) {
    const stat = await unlessMissing(fs.promises.stat(path));
    return stat === undefined ? undefined : statOf(stat);
  },
  listSync: (path) => unlessMissingSync(() => fs.readdirSync(path, { withFileTypes: true }).map(entryOf)),
  list: async (path) =>
    (await unlessMissing(fs.promises.readdir(path, { withFileTypes: true })))?.map(entryOf),
  makeFolderSync(path, { mode }) {
    try {
      fs.mkdirSync(path, { mode });
    } catch (error) {
      if (!isExistingFolder(error, path)) throw error;
    }
  },
  async makeFolder(path, { mode }) {
    try {
      await fs.promises.mkdir(path, { mode });
    } catch (error) {
      if (!isExistingFolder(error, path)) throw error;
    }
  },
  renameSync: (from, to) => fs.renameSync(from, to),
  rename: (from, to) => fs.promises.rename(from, to),
  linkSync: (from, to) => fs.linkSync(from, to),
  removeSync(path) {
    unlessMissingSync(() => fs.unlinkSync(path));
  },
  async remove(path) {
    await unlessMissing(fs.promises.unlink(path));
  },
  removeTreeSync: (path) => fs.rmSync(path, { recursive: true, force: true }),
  removeTree: (path) => fs.promises.rm(path, { recursive: true, force: true }),
  async removeEmptyFolder(path) {
    try {
      await unlessMissing(fs.promises.rmdir(path));
      return true;
    } catch (error) {
      const code = systemCode(error);
      if (code === "ENOTEMPTY" || code === "EEXIST") return false;
      throw error;
    }
  },
  syncFolderSync(path) {
    const descriptor = fs.openSync(path, "r");
    try {
      fs.fsyncSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  },
  async syncFolder(path) {
    const descriptor = await fsOpen(path, "r", 0);
    try {
      await fsSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  },
  changeOwnerSync(path, { uid, gid }) {
    try {
      fs.chownSync(path, uid, gid);
    } catch {
      // Only root may give files away; the file then stays ours, as with the tool we replace.
    }
  },
  async changeOwner(path, { uid, gid }) {
    try {
      await fs.promises.chown(path, uid, gid);
    } catch {
      // See changeOwnerSync.
    }
  },
  async changeMode(path, mode) {
    await fs.promises.chmod(path, mode);
  },
  async freeBytes(path) {
    const stat = await fs.promises.statfs(path);
    return stat.bavail * stat.bsize;
  },
  fileSystemTypeSync,
};
