import { Mutex } from "../async.ts";
import { UsageError } from "../errors.ts";
import { type Files, notAFolder, type Owner } from "../runtime/files.ts";
import { makeFolders } from "../runtime/folders.ts";
import { parentFolder } from "../runtime/paths.ts";
import { explained } from "./file_errors.ts";

/** Modes and owners of what the store makes: those of the database file and of the folder that it lies in. */
export interface FilePermissions {
  /** Permission bits before the umask, which still applies. */
  readonly fileMode: number;
  readonly folderMode: number;
  readonly fileOwner?: Owner | undefined;
  readonly folderOwner?: Owner | undefined;
}

/** What is made before anything is known of the database: for its owner alone. */
export const PRIVATE_PERMISSIONS: FilePermissions = { fileMode: 0o600, folderMode: 0o700 };

/** The folder that a store is rooted at, and the making of folders below it. */
export class FileRoot {
  readonly path: string;
  readonly #files: Files;
  readonly #mustExist: boolean;
  /** Folders that are there and whose own entries are on the disk. */
  readonly #durable = new Set<string>();
  readonly #mutex = new Mutex();

  /** @throws {UsageError} when `path` is empty or relative */
  constructor(path: string, { files, mustExist }: { files: Files; mustExist: boolean }) {
    if (path === "") throw new UsageError("file replica path required");
    if (!isAbsolute(path)) throw new UsageError(`file replica path must be absolute: ${path}`);
    this.path = path.replace(/(?<=.)\/+$/, "");
    this.#files = files;
    this.#mustExist = mustExist;
  }

  /** Where the object or the folder `key` lies; the root itself for the empty key. */
  pathOf(key: string): string {
    if (key === "") return this.path;
    return this.path === "/" ? `/${key}` : `${this.path}/${key}`;
  }

  /** @throws {Error} when the root is a file, or isn't there but must be */
  async check(): Promise<void> {
    const path = this.path;
    const stat = await explained({ verb: "use replica folder", path }, () => this.#files.stat(path));
    if (stat?.isFolder) return;
    if (stat !== undefined) {
      throw new Error(`replica path ${path} is not a folder; move it away or give the replica a folder`);
    }
    if (this.#mustExist) {
      throw new Error(`replica folder ${path} is not there; mount its disk or make the folder`);
    }
  }

  /**
   * Make the folder `key` (empty: the root), durably: it is on the disk before an object in it is said to be.
   *
   * One at a time: a put must not rely on a folder that another one has made but not yet synced.
   */
  async makeFolder(key: string, { folderMode, folderOwner }: FilePermissions): Promise<void> {
    using _ = await this.#mutex.acquire();
    await this.check();
    if (this.#durable.has(key)) return;
    const options = { mode: folderMode, owner: folderOwner };
    await explained({ verb: "make folder", path: this.pathOf(key) }, async () => {
      // With `mustExist` nothing at or above the root may come back by itself.
      const made = this.#mustExist ? [] : await makeFolders(this.#files, this.path, options);
      for (const path of made) await this.#files.syncFolder(parentFolder(path));
      const parts = key === "" ? [] : key.split("/");
      for (let depth = 1; depth <= parts.length; depth++) {
        await this.#makeDurable(parts.slice(0, depth).join("/"), options);
      }
    });
  }

  async #makeDurable(key: string, { mode, owner }: { mode: number; owner: Owner | undefined }) {
    if (this.#durable.has(key)) return;
    const path = this.pathOf(key);
    const stat = await this.#files.stat(path);
    if (stat !== undefined && !stat.isFolder) throw notAFolder(path);
    if (stat === undefined) {
      await this.#files.makeFolder(path, { mode });
      if (owner !== undefined) await this.#files.changeOwner(path, owner);
    }
    // Also when it was there: an earlier process may have died between making and syncing it.
    await this.#files.syncFolder(parentFolder(path));
    this.#durable.add(key);
  }

  /** Whether the folder `key` is one that was made or seen, and not removed by ourselves since. */
  async isRelied(key: string): Promise<boolean> {
    using _ = await this.#mutex.acquire();
    return this.#durable.has(key);
  }

  /** Something below the root went away: look again before relying on a folder. */
  forgetFolders(): void {
    this.#durable.clear();
  }

  /** Run `act`, which removes folders, while none is being made. */
  async removingFolders(act: () => Promise<void>): Promise<void> {
    using _ = await this.#mutex.acquire();
    try {
      await act();
    } finally {
      this.forgetFolders();
    }
  }
}

function isAbsolute(path: string): boolean {
  return path.startsWith("/") || /^[A-Za-z]:[\\/]/.test(path);
}
