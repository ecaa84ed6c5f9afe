/**
 * A replica in a folder. An object is written under a temporary name that ends in `.tmp`, which no reader of
 * the layout looks at, brought to the disk and renamed; then its folder is brought to the disk too.
 */
import { Semaphore } from "../async.ts";
import { assert, NotFoundError } from "../errors.ts";
import {
  type FileLook,
  type Files,
  type FolderEntry,
  type OpenFile,
  systemCode,
  systemFiles,
} from "../runtime/files.ts";
import { explained, explainFileError } from "./file_errors.ts";
import { isTemporaryKey, removeEmptiedGenerations, removeStale } from "./file_leftovers.ts";
import { putFile } from "./file_put.ts";
import { streamFileRange } from "./file_range.ts";
import { parentFolder } from "../runtime/paths.ts";
import { type FilePermissions, FileRoot, PRIVATE_PERMISSIONS } from "./file_root.ts";
import { GENERATIONS_PREFIX } from "./keys.ts";
import type {
  ByteRange,
  ListOptions,
  ObjectInfo,
  ObjectStore,
  ReadOptions,
  ReadPart,
  StoreOptions,
  TimesOptions,
} from "./object_store.ts";

/** How a folder is used as a store. */
export interface FileStoreOptions {
  /** The absolute path of the folder. */
  readonly root: string;
  /** Default: the real file system. */
  readonly files?: Files | undefined;
  /** Refuse to work when `root` isn't there, so that an unmounted disk isn't filled silently. Default false. */
  readonly mustExist?: boolean | undefined;
  /** Asked at each put; absent or `undefined` (no database yet): `PRIVATE_PERMISSIONS`. */
  readonly permissions?: (() => FilePermissions | undefined) | undefined;
}

/** Files looked at or removed at once; enough to hide a network file system's delay. */
const PARALLEL = 32;

/** Files looked at in one call, where the file system takes several. */
const PAGE_COUNT = 1000;

/** Temporary files are left over when nobody has written to them for this long. */
const STALE_MS = 3_600_000;

/** The store of type `file`. */
export class FileStore implements ObjectStore {
  readonly type = "file";
  readonly place: string;
  readonly #files: Files;
  readonly #root: FileRoot;
  readonly #permissions: () => FilePermissions | undefined;
  /** Temporary files of the puts that are running. */
  readonly #temporaryPaths = new Set<string>();

  /** @throws {UsageError} when `root` is empty or relative */
  constructor({ root, files = systemFiles, mustExist = false, permissions }: FileStoreOptions) {
    this.#files = files;
    this.#root = new FileRoot(root, { files, mustExist });
    this.#permissions = permissions ?? (() => undefined);
    this.place = this.#root.path;
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    for await (const page of this.listPages(prefix, options)) yield* page;
  }

  async *listPages(
    prefix: string,
    { after = "", signal }: ListOptions = {},
  ): AsyncGenerator<ObjectInfo[]> {
    checkPrefix(prefix);
    signal?.throwIfAborted();
    await this.#root.check();
    const prefixes = [prefix];
    for (let at = 0; at < prefixes.length; at++) {
      const { names, folders } = await this.#contentOf(prefixes[at]!, signal);
      prefixes.push(...folders);
      const wanted = after === "" ? names : names.filter((name) => prefixes[at] + name > after);
      for (const part of this.#partsOf(wanted)) {
        signal?.throwIfAborted();
        yield await this.#objectsIn(prefixes[at]!, part);
      }
    }
  }

  async visitTimes(prefix: string, { isWanted, visit, signal }: TimesOptions): Promise<void> {
    checkPrefix(prefix);
    signal?.throwIfAborted();
    await this.#root.check();
    const names = (await this.#namesIn(prefix)).filter((name) => isObjectName(name) && isWanted(name));
    for (const part of this.#partsOf(names)) {
      signal?.throwIfAborted();
      const visitFile = (_: number, { isFile, modifiedMs }: FileLook) => {
        if (isFile) visit(modifiedMs);
      };
      await this.#visitFiles(prefix, { names: part, visit: visitFile });
    }
  }

  async listKeys(prefix: string, { signal }: StoreOptions = {}): Promise<string[]> {
    checkPrefix(prefix);
    signal?.throwIfAborted();
    await this.#root.check();
    const found: string[] = [];
    const prefixes = [prefix];
    for (let at = 0; at < prefixes.length; at++) {
      const { names, folders } = await this.#contentOf(prefixes[at]!, signal);
      prefixes.push(...folders);
      for (const name of names) found.push(prefixes[at] + name);
    }
    return found;
  }

  look(key: string, { signal }: StoreOptions = {}): Promise<ObjectInfo | undefined> {
    checkKey(key);
    signal?.throwIfAborted();
    return this.#objectAt(key);
  }

  async listFolders(prefix: string, { signal }: StoreOptions = {}): Promise<string[]> {
    checkPrefix(prefix);
    signal?.throwIfAborted();
    await this.#root.check();
    const names: string[] = [];
    for (const { name, isFolder } of await this.#entries(prefix)) {
      // As in every store, a folder is where objects are: what a crash or a half-done delete left is none.
      if (isFolder && await this.#holdsObjects(`${prefix}${name}/`, signal)) names.push(name);
    }
    return names;
  }

  /** Temporary files. */
  async listUnfinished(prefix: string, { signal }: StoreOptions = {}): Promise<string[]> {
    checkPrefix(prefix);
    signal?.throwIfAborted();
    const found: string[] = [];
    for (const { name, isFolder } of await this.#entries(prefix)) {
      if (isFolder) found.push(...await this.listUnfinished(`${prefix}${name}/`, { signal }));
      else if (name.endsWith(".tmp")) found.push(prefix + name);
    }
    return found;
  }

  async put(
    key: string,
    body: Uint8Array | ReadableStream<Uint8Array>,
    { signal }: StoreOptions = {},
  ): Promise<ObjectInfo> {
    try {
      checkKey(key);
      if (!isObjectName(key)) throw notAKey(key);
      signal?.throwIfAborted();
      const path = this.#root.pathOf(key);
      const temporaryPath = this.#takeTemporaryPath(path);
      try {
        const permissions = this.#permissions() ?? PRIVATE_PERMISSIONS;
        const context = { files: this.#files, root: this.#root };
        const stat = await putFile(context, body, { key, path, temporaryPath, permissions, signal });
        return { key, size: stat.size, createdAt: stat.modifiedAt };
      } finally {
        this.#temporaryPaths.delete(temporaryPath);
      }
    } catch (error) {
      // Tell the source that nobody will read on. Not awaited: one that hangs must not keep us from giving up.
      if (body instanceof ReadableStream && !body.locked) body.cancel(error).catch(() => {});
      throw error;
    }
  }

  async get(
    key: string,
    { range, signal }: StoreOptions & { range?: ByteRange } = {},
  ): Promise<ReadableStream<Uint8Array>> {
    checkKey(key);
    checkRange(range);
    signal?.throwIfAborted();
    const path = this.#root.pathOf(key);
    const file = await this.#openStored(path);
    try {
      const stat = file.statSync();
      if (!stat.isFile) throw new NotFoundError(`open ${path}: not a file`);
      signal?.throwIfAborted();
      const end = Math.min(stat.size, range?.end ?? stat.size);
      return streamFileRange(file, { start: range?.start ?? 0, end, signal });
    } catch (error) {
      file.close();
      throw error;
    }
  }

  async read(key: string, { start = 0, size, acquire, signal }: ReadOptions): Promise<ReadPart> {
    checkKey(key);
    signal?.throwIfAborted();
    const path = this.#root.pathOf(key);
    try {
      using file = await this.#openStored(path);
      const stat = file.statSync();
      if (!stat.isFile) throw new NotFoundError(`open ${path}: not a file`);
      const memory = acquire();
      const read = () => file.read(memory.subarray(0, size), start);
      const count = await explained({ verb: "read", path }, read);
      return { bytes: memory.subarray(0, count), objectSize: stat.size };
    } finally {
      // Nobody waits for it any longer, whatever became of it.
      signal?.throwIfAborted();
    }
  }

  async delete(keys: readonly string[], { signal }: StoreOptions = {}): Promise<void> {
    for (const key of keys) checkKey(key);
    signal?.throwIfAborted();
    if (keys.length === 0) return;
    await this.#root.check();
    const failures = await this.#removeAll(keys, signal);
    signal?.throwIfAborted();
    if (failures.length > 0) throw failures[0];
    await this.#syncFoldersOf(keys);
    await this.#root.removingFolders(() =>
      removeEmptiedGenerations(this.#files, {
        keys,
        pathOf: (key) => this.#root.pathOf(key),
        isInUse: (path) => this.#temporaryPaths.has(path),
      })
    );
  }

  /** What is deleted next may rely on these: after a power cut no snapshot may be back whose WAL is gone. */
  async #syncFoldersOf(keys: readonly string[]): Promise<void> {
    const paths = new Set(keys.map((key) => parentFolder(this.#root.pathOf(key))));
    for (const path of paths) {
      try {
        await this.#files.syncFolder(path);
      } catch (error) {
        if (systemCode(error) !== "ENOENT") throw explainFileError(error, { verb: "delete in", path });
      }
    }
  }

  /**
   * Remove the temporary files of processes that were killed; the next put of the same key would, if there is one.
   *
   * @returns how many there were
   */
  async cleanUp({ signal }: StoreOptions = {}): Promise<number> {
    const keys = await this.listUnfinished(GENERATIONS_PREFIX, { signal });
    return await removeStale(this.#files, {
      paths: keys.filter(isTemporaryKey).map((key) => this.#root.pathOf(key)),
      inUse: this.#temporaryPaths,
      before: new Date(Date.now() - STALE_MS),
      signal,
    });
  }

  /** Nothing is held between calls. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  /** The name is the same at each try, so that a crash in a loop leaves one file, not a full disk. */
  #takeTemporaryPath(path: string): string {
    let temporaryPath = `${path}.tmp`;
    for (let number = 1; this.#temporaryPaths.has(temporaryPath); number++) {
      temporaryPath = `${path}.${number}.tmp`;
    }
    this.#temporaryPaths.add(temporaryPath);
    return temporaryPath;
  }

  async #removeAll(keys: readonly string[], signal: AbortSignal | undefined): Promise<Error[]> {
    const failures: Error[] = [];
    const removals: Promise<void>[] = [];
    const semaphore = new Semaphore(PARALLEL);
    for (const key of keys) {
      const turn = await semaphore.acquire();
      if (signal?.aborted) break;
      const path = this.#root.pathOf(key);
      const removal = this.#files.remove(path)
        .catch((error) => void failures.push(explainFileError(error, { verb: "delete", path })))
        .finally(() => turn[Symbol.dispose]());
      removals.push(removal);
    }
    await Promise.all(removals);
    return failures;
  }

  async #openStored(path: string): Promise<OpenFile> {
    try {
      return await this.#files.open(path, { access: "read" });
    } catch (error) {
      const code = systemCode(error);
      if (code !== "ENOENT" && code !== "ENOTDIR") throw explainFileError(error, { verb: "read", path });
      await this.#root.check();
      throw new NotFoundError(`open ${path}: no such file or directory`, { cause: error });
    }
  }

  async #entries(prefix: string): Promise<FolderEntry[]> {
    const path = this.#root.pathOf(prefix.slice(0, -1));
    return await explained({ verb: "list", path }, () => this.#files.list(path)) ?? [];
  }

  /** The names of objects right in a folder, and the prefixes of the folders in it. */
  async #contentOf(prefix: string, signal: AbortSignal | undefined) {
    signal?.throwIfAborted();
    const names: string[] = [];
    const folders: string[] = [];
    for (const { name, isFolder } of await this.#entries(prefix)) {
      if (isFolder) folders.push(`${prefix}${name}/`);
      else if (isObjectName(name)) names.push(name);
    }
    return { names, folders };
  }

  async #namesIn(prefix: string): Promise<string[]> {
    const { listNames } = this.#files;
    if (listNames === undefined) return (await this.#entries(prefix)).map(({ name }) => name);
    const path = this.#root.pathOf(prefix.slice(0, -1));
    return await explained({ verb: "list", path }, () => listNames(path)) ?? [];
  }

  /** As many names as are looked at between two waits. */
  *#partsOf(names: readonly string[]): Generator<readonly string[]> {
    const count = this.#files.visitFiles === undefined ? PARALLEL : PAGE_COUNT;
    for (let from = 0; from < names.length; from += count) yield names.slice(from, from + count);
  }

  /** Those that are there, and are files. */
  async #objectsIn(prefix: string, names: readonly string[]): Promise<ObjectInfo[]> {
    const found: ObjectInfo[] = [];
    await this.#visitFiles(prefix, {
      names,
      visit(at, { isFile, size, modifiedMs }) {
        if (isFile) found.push({ key: prefix + names[at]!, size, createdAt: new Date(modifiedMs) });
      },
    });
    return found;
  }

  async #visitFiles(
    prefix: string,
    { names, visit }: { names: readonly string[]; visit: (at: number, look: FileLook) => void },
  ): Promise<void> {
    const { visitFiles } = this.#files;
    const path = this.#root.pathOf(prefix.slice(0, -1));
    if (visitFiles !== undefined) {
      await explained({ verb: "read", path }, () => visitFiles(path, { names, visit }));
      return;
    }
    const objects = await Promise.all(names.map((name) => this.#objectAt(prefix + name)));
    for (const [at, object] of objects.entries()) {
      if (object === undefined) continue;
      visit(at, { size: object.size, modifiedMs: object.createdAt.getTime(), isFile: true });
    }
  }

  /** `undefined` when it went away since its folder was read, or is no file. */
  async #objectAt(key: string): Promise<ObjectInfo | undefined> {
    const path = this.#root.pathOf(key);
    const stat = await explained({ verb: "read", path }, () => this.#files.stat(path));
    return stat?.isFile ? { key, size: stat.size, createdAt: stat.modifiedAt } : undefined;
  }

  async #holdsObjects(prefix: string, signal: AbortSignal | undefined): Promise<boolean> {
    const { names, folders } = await this.#contentOf(prefix, signal);
    for (const name of names) if (await this.#objectAt(prefix + name) !== undefined) return true;
    // By name: a generation has a snapshot, and the folder of its WAL may take long to read.
    for (const folder of folders.sort()) if (await this.#holdsObjects(folder, signal)) return true;
    return false;
  }
}

/** What a put has not ended with is no object. */
function isObjectName(name: string): boolean {
  return !name.endsWith(".tmp");
}

/** A key comes from our layout or from a listing; one that leaves the root must never get to the disk. */
function checkKey(key: string): void {
  const isSound = (part: string) => part !== "" && part !== "." && part !== "..";
  if (key.includes("\0") || !key.split("/").every(isSound)) throw notAKey(key);
}

function notAKey(key: string): Error {
  return new Error(`not a key of a store: ${JSON.stringify(key)}`);
}

function checkPrefix(prefix: string): void {
  if (prefix === "") return;
  assert(prefix.endsWith("/"), `a prefix ends in a slash: ${JSON.stringify(prefix)}`);
  checkKey(prefix.slice(0, -1));
}

function checkRange(range: ByteRange | undefined): void {
  if (range === undefined) return;
  const { start, end = start } = range;
  assert(Number.isSafeInteger(start) && start >= 0, `range start ${start}`);
  assert(Number.isSafeInteger(end) && end >= 0, `range end ${end}`);
}
