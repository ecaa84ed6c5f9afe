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
  | "remove"
  | "remove-tree"
  | "remove-empty-folder"
  | "sync-folder"
  | "change-owner"
  | "free-bytes";

/** One call, with the arguments that its kind has. */
export interface FileCall {
  readonly kind: FileCallKind;
  readonly path: string;
  /** rename: the new name. */
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
  const hooked = (file: OpenFile) => hookFile(file, hook);
  return {
    openSync: (path, options) =>
      hooked(hook({ kind: "open", path, ...options }, () => inner.openSync(path, options))),
    open: async (path, options) =>
      hooked(await hook({ kind: "open", path, ...options }, () => inner.open(path, options))),
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
    fileSystemTypeSync: (path) => hook({ kind: "stat", path }, () => inner.fileSystemTypeSync(path)),
    freeBytes: async (path) => await hook({ kind: "free-bytes", path }, () => inner.freeBytes(path)),
  };
}

function hookFile(file: OpenFile, hook: FileHook): OpenFile {
  const { path } = file;
  const close = () => hook({ kind: "close", path }, () => file.close());
  return {
    path,
    readSync: (into, position) =>
      hook({ kind: "read", path, position, into, size: into.length }, () => file.readSync(into, position)),
    read: async (into, position) =>
      await hook({ kind: "read", path, position, size: into.length }, () => file.read(into, position)),
    writeSync: (bytes, position) =>
      hook({ kind: "write", path, position, bytes }, () => file.writeSync(bytes, position)),
    write: async (bytes, position) =>
      await hook({ kind: "write", path, position, bytes }, () => file.write(bytes, position)),
    syncSync: () => hook({ kind: "sync", path }, () => file.syncSync()),
    sync: async () => await hook({ kind: "sync", path }, () => file.sync()),
    truncateSync: (size) => hook({ kind: "truncate", path, size }, () => file.truncateSync(size)),
    statSync: () => hook({ kind: "file-stat", path }, () => file.statSync()),
    setTimesSync: (at) => hook({ kind: "set-times", path }, () => file.setTimesSync(at)),
    close,
    [Symbol.dispose]: close,
  };
}
