/** The common ground of the file doubles: every call of a `Files` passes through one function. */
import type { Files, OpenFile } from "../../src/runtime/files.ts";

/** What was called; the `…Sync` call of a pair has the same kind as the other. */
export type FileCallKind =
  | "open"
  | "read"
  | "write"
  | "sync"
  | "truncate"
  | "set-times"
  | "file-stat"
  | "close"
  | "stat"
  | "list"
  | "make-folder"
  | "rename"
  | "link"
  | "remove"
  | "remove-tree"
  | "remove-empty-folder"
  | "sync-folder"
  | "change-owner"
  | "change-mode"
  | "free-bytes";

/** One call, with the arguments that its kind has. */
export interface FileCall {
  readonly kind: FileCallKind;
  readonly path: string;
  /** open, and every call on the file that it opened: which opening, counted from 1. */
  readonly handle?: number;
  /** rename, link: the new name. */
  readonly to?: string;
  /** open: how. */
  readonly access?: string;
  /** open, make-folder: permission bits asked for. */
  readonly mode?: number | undefined;
  /** read, write: the first byte. */
  readonly position?: number;
  /** write: the caller's own buffer; copy what you keep. */
  readonly bytes?: Uint8Array;
  /** read: the caller's own buffer, filled once `act()` has read. */
  readonly into?: Uint8Array;
  /** truncate: the new size; read: the bytes asked for. */
  readonly size?: number;
}

/** Runs a call: `act()` carries it out and gives its result, or a promise of it. */
export type FileHook = <T>(call: FileCall, act: () => T) => T;

/** `inner`, with every call (also those on the files it opens) going through `hook`. */
export function hookFiles(inner: Files, hook: FileHook): Files {
  let handleCount = 0;
  return {
    openSync: (path, options) => {
      const handle = ++handleCount;
      const file = hook({ kind: "open", path, handle, ...options }, () => inner.openSync(path, options));
      return hookFile(file, { hook, handle });
    },
    open: async (path, options) => {
      const handle = ++handleCount;
      const file = await hook({ kind: "open", path, handle, ...options }, () => inner.open(path, options));
      return hookFile(file, { hook, handle });
    },
    statSync: (path) => hook({ kind: "stat", path }, () => inner.statSync(path)),
    stat: async (path) => await hook({ kind: "stat", path }, () => inner.stat(path)),
    listSync: (path) => hook({ kind: "list", path }, () => inner.listSync(path)),
    list: async (path) => await hook({ kind: "list", path }, () => inner.list(path)),
    makeFolderSync: (path, options) =>
      hook({ kind: "make-folder", path, ...options }, () => inner.makeFolderSync(path, options)),
    makeFolder: async (path, options) =>
      await hook({ kind: "make-folder", path, ...options }, () => inner.makeFolder(path, options)),
    renameSync: (from, to) => hook({ kind: "rename", path: from, to }, () => inner.renameSync(from, to)),
    rename: async (from, to) => await hook({ kind: "rename", path: from, to }, () => inner.rename(from, to)),
    linkSync: (from, to) => hook({ kind: "link", path: from, to }, () => inner.linkSync(from, to)),
    removeSync: (path) => hook({ kind: "remove", path }, () => inner.removeSync(path)),
    remove: async (path) => await hook({ kind: "remove", path }, () => inner.remove(path)),
    removeTreeSync: (path) => hook({ kind: "remove-tree", path }, () => inner.removeTreeSync(path)),
    removeTree: async (path) => await hook({ kind: "remove-tree", path }, () => inner.removeTree(path)),
    removeEmptyFolder: async (path) =>
      await hook({ kind: "remove-empty-folder", path }, () => inner.removeEmptyFolder(path)),
    syncFolderSync: (path) => hook({ kind: "sync-folder", path }, () => inner.syncFolderSync(path)),
    syncFolder: async (path) => await hook({ kind: "sync-folder", path }, () => inner.syncFolder(path)),
    changeOwnerSync: (path, owner) =>
      hook({ kind: "change-owner", path }, () => inner.changeOwnerSync(path, owner)),
    changeOwner: async (path, owner) =>
      await hook({ kind: "change-owner", path }, () => inner.changeOwner(path, owner)),
    changeMode: async (path, mode) =>
      await hook({ kind: "change-mode", path }, () => inner.changeMode(path, mode)),
    fileSystemTypeSync: (path) => hook({ kind: "stat", path }, () => inner.fileSystemTypeSync(path)),
    freeBytes: async (path) => await hook({ kind: "free-bytes", path }, () => inner.freeBytes(path)),
  };
}

function hookFile(file: OpenFile, { hook, handle }: { hook: FileHook; handle: number }): OpenFile {
  const { path } = file;
  const close = () => hook({ kind: "close", path, handle }, () => file.close());
  return {
    path,
    readSync: (into, position) =>
      hook(
        { kind: "read", path, handle, position, into, size: into.length },
        () => file.readSync(into, position),
      ),
    read: async (into, position) =>
      await hook(
        { kind: "read", path, handle, position, into, size: into.length },
        () => file.read(into, position),
      ),
    writeSync: (bytes, position) =>
      hook({ kind: "write", path, handle, position, bytes }, () => file.writeSync(bytes, position)),
    write: async (bytes, position) =>
      await hook({ kind: "write", path, handle, position, bytes }, () => file.write(bytes, position)),
    syncSync: () => hook({ kind: "sync", path, handle }, () => file.syncSync()),
    sync: async () => await hook({ kind: "sync", path, handle }, () => file.sync()),
    truncateSync: (size) => hook({ kind: "truncate", path, handle, size }, () => file.truncateSync(size)),
    statSync: () => hook({ kind: "file-stat", path, handle }, () => file.statSync()),
    setTimesSync: (at) => hook({ kind: "set-times", path, handle }, () => file.setTimesSync(at)),
    close,
    [Symbol.dispose]: close,
  };
}
