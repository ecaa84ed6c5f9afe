/**
 * A disk that can lose its power: keeps apart what was synced from what was only written, and makes folders as they may
 * look afterwards.
 *
 * What may be left of a file: what it was at its last fsync that had ended, and of every write since then all,
 * nothing, or any of its sectors, in any combination; what was not written within a grown size reads as zeros. Of a
 * folder: its entries at its last fsync, and some first part of the changes since then. That is weaker than what
 * ext4, XFS or btrfs give: an fsync of a file says nothing of its name, and folders don't wait for one another.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Files } from "../../src/runtime/files.ts";
import { type FileCall, hookFiles } from "./hooked_files.ts";

const SECTOR_BYTES = 512;

/** How much of what was not synced is left: all, nothing, or chance decides of each piece. */
export type Remains = "all" | "nothing" | "some";

/** Decides what is left; `below(n)` is a whole number from 0 to n − 1. */
export interface Dice {
  below(limit: number): number;
}

type Write = { readonly bytes: Uint8Array; readonly position: number } | { readonly truncateTo: number };

class DiskFile {
  #synced: Uint8Array = new Uint8Array(0);
  readonly #unsynced: Write[] = [];

  change(write: Write): void {
    this.#unsynced.push(write);
  }

  get changeCount(): number {
    return this.#unsynced.length;
  }

  /** The first `count` changes can't be lost any more. */
  harden(count: number): void {
    for (const write of this.#unsynced.splice(0, count)) this.#synced = applied(this.#synced, write);
  }

  after(remains: Remains, dice: Dice): Uint8Array {
    let content = this.#synced;
    if (remains === "nothing") return content;
    for (const write of this.#unsynced) {
      if (remains === "all") content = applied(content, write);
      else content = partlyApplied(content, write, dice);
    }
    return content;
  }
}

function resized(content: Uint8Array, size: number): Uint8Array {
  const grown = new Uint8Array(size);
  grown.set(content.subarray(0, size));
  return grown;
}

function applied(content: Uint8Array, write: Write): Uint8Array {
  if ("truncateTo" in write) return resized(content, write.truncateTo);
  const { bytes, position } = write;
  const result = resized(content, Math.max(content.length, position + bytes.length));
  result.set(bytes, position);
  return result;
}

function partlyApplied(content: Uint8Array, write: Write, dice: Dice): Uint8Array {
  const fate = dice.below(4);
  if (fate === 0) return content;
  if (fate === 1 || "truncateTo" in write) return applied(content, write);
  // Torn: the size is there, and of the sectors only some. Often the last ones are missing.
  const { bytes, position } = write;
  const result = resized(content, Math.max(content.length, position + bytes.length));
  const keepsFirst = dice.below(2) === 0 ? dice.below(bytes.length + 1) : 0;
  for (let at = 0; at < bytes.length; at += SECTOR_BYTES) {
    const isKept = keepsFirst > 0 ? at + SECTOR_BYTES <= keepsFirst : dice.below(2) === 0;
    if (isKept) result.set(bytes.subarray(at, at + SECTOR_BYTES), position + at);
  }
  return result;
}

type Entry = DiskFile | DiskFolder;
type EntryChange = readonly (readonly [string, Entry | undefined])[];

class DiskFolder {
  /** As programs see it. */
  readonly entries = new Map<string, Entry>();
  #synced = new Map<string, Entry>();
  readonly #unsynced: EntryChange[] = [];

  change(...change: EntryChange): void {
    setEntries(this.entries, change);
    this.#unsynced.push(change);
  }

  get changeCount(): number {
    return this.#unsynced.length;
  }

  harden(count: number): void {
    for (const change of this.#unsynced.splice(0, count)) setEntries(this.#synced, change);
  }

  after(remains: Remains, dice: Dice): Map<string, Entry> {
    const count = this.#unsynced.length;
    const kept = remains === "all" ? count : remains === "nothing" ? 0 : dice.below(count + 1);
    const entries = new Map(this.#synced);
    for (const change of this.#unsynced.slice(0, kept)) setEntries(entries, change);
    return entries;
  }
}

function setEntries(entries: Map<string, Entry>, change: EntryChange): void {
  for (const [name, entry] of change) {
    if (entry === undefined) entries.delete(name);
    else entries.set(name, entry);
  }
}

/** The disk below one folder, empty at first; nobody may change it but through `files`. */
export class PowerCutDisk {
  readonly files: Files;
  /** Called before and after each change and each sync, when what could be left is another thing than before. */
  onEvent: (() => void) | undefined;
  readonly #rootPath: string;
  readonly #root = new DiskFolder();
  readonly #opened = new Map<number, DiskFile>();

  constructor(inner: Files, rootPath: string) {
    this.#rootPath = rootPath;
    this.files = hookFiles(inner, (call, act) => this.#run(call, act));
  }

  #run<T>(call: FileCall, act: () => T): T {
    const isOurs = call.path === this.#rootPath || call.path.startsWith(`${this.#rootPath}/`);
    if (!isOurs) return act();
    const harden = this.#begin(call);
    if (harden === undefined) return act();
    this.onEvent?.();
    const end = () => {
      harden();
      this.onEvent?.();
    };
    const result = act();
    if (result instanceof Promise) {
      return result.then((value) => {
        end();
        return value;
      }) as typeof result;
    }
    end();
    return result;
  }

  /** What the call changes may be on the disk from now on. Gives what is certain once it has ended. */
  #begin(call: FileCall): (() => void) | undefined {
    const { kind, path } = call;
    const file = () => {
      const found = this.#opened.get(call.handle!);
      if (found === undefined) throw new Error(`${kind} ${path}: was opened before`);
      return found;
    };
    switch (kind) {
      case "open":
        return this.#open(call);
      case "close":
        this.#opened.delete(call.handle!);
        return undefined;
      case "write":
        file().change({ bytes: call.bytes!.slice(), position: call.position! });
        break;
      case "truncate":
        file().change({ truncateTo: call.size! });
        break;
      case "sync": {
        const synced = file();
        const count = synced.changeCount;
        return () => synced.harden(Math.min(count, synced.changeCount));
      }
      case "sync-folder": {
        const folder = this.#find(path);
        if (!(folder instanceof DiskFolder)) return undefined;
        const count = folder.changeCount;
        return () => folder.harden(Math.min(count, folder.changeCount));
      }
      case "make-folder":
        if (this.#find(path) !== undefined) return undefined;
        this.#parentOf(path).change([basename(path), new DiskFolder()]);
        break;
      case "rename": {
        const parent = this.#parentOf(path);
        const entry = parent.entries.get(basename(path));
        // The call itself fails.
        if (entry === undefined) return undefined;
        if (this.#parentOf(call.to!) !== parent) throw new Error(`rename ${path} ${call.to}: not modelled`);
        parent.change([basename(call.to!), entry], [basename(path), undefined]);
        break;
      }
      case "remove":
      case "remove-tree":
      case "remove-empty-folder":
        return this.#remove(call);
      default:
        return undefined;
    }
    return () => {};
  }

  #open({ path, access, handle }: FileCall): (() => void) | undefined {
    let entry = this.#find(path);
    const isNew = entry === undefined && access!.startsWith("create");
    if (isNew) {
      entry = new DiskFile();
      this.#parentOf(path).change([basename(path), entry]);
    }
    if (!(entry instanceof DiskFile)) return undefined;
    this.#opened.set(handle!, entry);
    if (access === "create" && !isNew) entry.change({ truncateTo: 0 });
    return isNew || access === "create" ? () => {} : undefined;
  }

  #remove({ kind, path }: FileCall): (() => void) | undefined {
    const entry = this.#find(path);
    if (entry === undefined) return undefined;
    if (entry instanceof DiskFolder) {
      if (kind === "remove-empty-folder" && entry.entries.size > 0) return undefined;
      for (const name of [...entry.entries.keys()]) this.#remove({ kind, path: join(path, name) });
    }
    this.#parentOf(path).change([basename(path), undefined]);
    return () => {};
  }

  #find(path: string): Entry | undefined {
    let entry: Entry | undefined = this.#root;
    for (const name of path.slice(this.#rootPath.length).split("/").filter((part) => part !== "")) {
      if (!(entry instanceof DiskFolder)) return undefined;
      entry = entry.entries.get(name);
    }
    return entry;
  }

  #parentOf(path: string): DiskFolder {
    const parent = this.#find(dirname(path));
    if (!(parent instanceof DiskFolder)) throw new Error(`${dirname(path)} is no folder of this disk`);
    return parent;
  }

  /** Make in the folder `target` what may be there after a power cut now. */
  remainsIn(target: string, { remains, dice }: { remains: Remains; dice: Dice }): void {
    const make = (folder: DiskFolder, path: string) => {
      mkdirSync(path, { recursive: true });
      for (const [name, entry] of folder.after(remains, dice)) {
        if (entry instanceof DiskFolder) make(entry, join(path, name));
        else writeFileSync(join(path, name), entry.after(remains, dice));
      }
    };
    make(this.#root, target);
  }
}
