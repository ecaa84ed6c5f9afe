/**
 * The meta directory beside a database, as Litestream lays it out:
 *
 *     .app.db-litestream/
 *         generation                              16 hex digits and a line feed
 *         generations/<generation>/wal/<index>.wal     shadow WAL: header and whole frames, byte for byte
 *         generations/<generation>/walbrook-ended.json ours: how its last indexes ended, see ended_indexes.ts
 *         walbrook.lock                           ours: held while we replicate, see instance_lock.ts
 *         walbrook-uploads/<replica>.json         ours: what was uploaded last, see replicate/upload_memory.ts
 *         walbrook-drills/<replica>.json          ours: what drills have shown, see replicate/drill_memory.ts
 *         walbrook-last-seen.json                 ours: what main file the WAL is of, see last_seen.ts
 *         walbrook-left-wal.json                  ours: a WAL that belongs to another database, see left_wal.ts
 *
 * New files take the database's mode (before the umask) and owner, new folders those of the database's folder.
 */
import { basename, join, parentFolder } from "../runtime/paths.ts";
import { type Files, type FileStat, notAFolder, systemFiles } from "../runtime/files.ts";
import { formatIndex, isGeneration } from "../position.ts";

/** Where a database's meta directory lies unless the configuration says otherwise. */
export function defaultMetaPath(databasePath: string): string {
  return join(parentFolder(databasePath), `.${basename(databasePath)}-litestream`);
}

/** The meta directory of one database. */
export class MetaDirectory {
  readonly path: string;
  readonly #files: Files;
  #fileStat: FileStat | undefined;
  #folderStat: FileStat | undefined;

  constructor(path: string, files: Files = systemFiles) {
    this.path = path;
    this.#files = files;
  }

  /** Take modes and owners from the database and its folder. */
  adoptPermissions(databasePath: string): void {
    this.#fileStat = this.#files.statSync(databasePath);
    this.#folderStat = this.#files.statSync(parentFolder(databasePath));
  }

  /** Mode of a new file. */
  get fileMode(): number {
    return this.#fileStat?.mode ?? 0o600;
  }

  /** Whom new files belong to, in words that are the same for the same owner and mode. */
  get fileOwner(): string {
    return `${this.#fileStat?.uid} ${this.#fileStat?.gid} ${this.fileMode}`;
  }

  /** Give a new file to the database's owner. */
  adoptFile(path: string): void {
    if (this.#fileStat !== undefined) this.#files.changeOwnerSync(path, this.#fileStat);
  }

  /** Make the meta directory itself, where it isn't there, and what is above it. */
  create(): void {
    this.#makeFolders(this.path);
  }

  /** Remove what a killed process left half-written: every file below whose name ends in `.tmp`, or its journal. */
  removeTemporaryFiles(folder: string = this.path): void {
    for (const entry of this.#files.listSync(folder) ?? []) {
      const path = join(folder, entry.name);
      if (entry.isFolder) this.removeTemporaryFiles(path);
      else if (/\.tmp(-journal)?$/.test(entry.name)) this.#files.removeSync(path);
    }
  }

  get generationPath(): string {
    return join(this.path, "generation");
  }

  /** Whether a generation was written down here at some time, readable or not. */
  get hasBeenUsed(): boolean {
    try {
      return this.#files.statSync(this.generationPath) !== undefined;
    } catch {
      return true; // Something is there, and keeps us out.
    }
  }

  /** The current generation; `undefined` when there is none or the file does not hold one. */
  readGeneration(): string | undefined {
    const stat = this.#files.statSync(this.generationPath);
    if (stat === undefined || stat.size > 64) return undefined;
    using file = this.#files.openSync(this.generationPath, { access: "read" });
    const bytes = new Uint8Array(stat.size);
    const name = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes, 0))).trim();
    return isGeneration(name) ? name : undefined;
  }

  /** Make `generation` the current one: temporary name, fsync, rename, fsync of the folder. */
  writeGeneration(generation: string): void {
    this.writeText("generation", `${generation}\n`, { isSynced: true });
  }

  /** A small file of ours below the meta directory; `undefined` when it is not there or larger than `limit`. */
  readText(name: string, { limit }: { limit: number }): string | undefined {
    const path = join(this.path, name);
    const stat = this.#files.statSync(path);
    if (stat === undefined || stat.isFolder || stat.size > limit) return undefined;
    using file = this.#files.openSync(path, { access: "read" });
    const bytes = new Uint8Array(stat.size);
    return new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes, 0)));
  }

  /** What such a file says as JSON; `undefined` where it is missing or broken, or can't be read. */
  readJson(name: string, limits: { limit: number }): unknown {
    try {
      const text = this.readText(name, limits);
      return text === undefined ? undefined : JSON.parse(text);
    } catch {
      return undefined; // Half a file, after a power cut, say.
    }
  }

  /** Replace such a file at once. Unless it `isSynced`, it may be old or empty after a power cut. */
  writeText(name: string, text: string, { isSynced = false }: { isSynced?: boolean } = {}): void {
    const path = join(this.path, name);
    const temporary = `${path}.tmp`;
    this.#makeFolders(parentFolder(path));
    try {
      {
        using file = this.#files.openSync(temporary, { access: "create", mode: this.fileMode });
        file.writeSync(new TextEncoder().encode(text), 0);
        if (isSynced) file.syncSync();
      }
      this.adoptFile(temporary);
      this.#files.renameSync(temporary, path);
      if (isSynced) this.#files.syncFolderSync(parentFolder(path));
    } catch (error) {
      this.#files.removeSync(temporary);
      throw error;
    }
  }

  /** Remove such a file. */
  remove(name: string): void {
    this.#files.removeSync(join(this.path, name));
  }

  #shadowFolder(generation: string): string {
    return join(this.path, "generations", generation, "wal");
  }

  /** Make the folder of a generation's shadow WAL. */
  createShadowFolder(generation: string): void {
    this.#makeFolders(this.#shadowFolder(generation));
  }

  /** The shadow file of an index. */
  shadowPath(generation: string, index: number): string {
    return join(this.#shadowFolder(generation), `${formatIndex(index)}.wal`);
  }

  /** Indexes that have a shadow file, rising. */
  shadowIndexes(generation: string): number[] {
    const indexes: number[] = [];
    for (const entry of this.#files.listSync(this.#shadowFolder(generation)) ?? []) {
      const match = /^([0-9a-f]{8})\.wal$/.exec(entry.name);
      if (match !== null) indexes.push(Number.parseInt(match[1]!, 16));
    }
    return indexes.sort((left, right) => left - right);
  }

  /** The shadow files of a generation with their bytes, by rising index. */
  shadowFiles(generation: string): { readonly index: number; readonly size: number }[] {
    return this.shadowIndexes(generation).map((index) => {
      const size = this.#files.statSync(this.shadowPath(generation, index))?.size ?? 0;
      return { index, size };
    });
  }

  /** Remove one generation. */
  removeGeneration(generation: string): void {
    this.#files.removeTreeSync(join(this.path, "generations", generation));
  }

  /** Remove every generation but `current`. */
  removeOtherGenerations(current: string): void {
    const folder = join(this.path, "generations");
    for (const entry of this.#files.listSync(folder) ?? []) {
      if (entry.name !== current) this.#files.removeTreeSync(join(folder, entry.name));
    }
  }

  /** Remove the shadow files of all indexes below `index`; returns whether there were any. */
  removeShadowBefore(generation: string, index: number): boolean {
    const old = this.shadowIndexes(generation).filter((one) => one < index);
    for (const one of old) this.#files.removeSync(this.shadowPath(generation, one));
    return old.length > 0;
  }

  #makeFolders(path: string): void {
    const stat = this.#files.statSync(path);
    if (stat?.isFolder) return;
    if (stat !== undefined) throw notAFolder(path);
    this.#makeFolders(parentFolder(path));
    this.#files.makeFolderSync(path, { mode: this.#folderStat?.mode ?? 0o700 });
    if (this.#folderStat !== undefined) this.#files.changeOwnerSync(path, this.#folderStat);
  }
}
