import { orAbort } from "../async.ts";
import { NotFoundError } from "../errors.ts";
import {
  type Files,
  type FileStat,
  isSameFile,
  type OpenFile,
  type Owner,
  systemCode,
} from "../runtime/files.ts";
import { parentFolder } from "../runtime/paths.ts";
import { explained, explainFileError } from "./file_errors.ts";
import type { FilePermissions, FileRoot } from "./file_root.ts";

/** Where an object goes to, by which temporary file, and who may use it. */
export interface PutJob {
  readonly key: string;
  readonly path: string;
  /** In the same folder; no other put of this process uses it. */
  readonly temporaryPath: string;
  readonly permissions: FilePermissions;
  readonly signal: AbortSignal | undefined;
}

/**
 * Write a whole object: temporary name, sync, rename, sync of the folder. A failure before the rename leaves
 * what was there before.
 *
 * @throws {NotFoundError} when the folder was there and somebody else removed it: others may be missing too. The next
 *   put makes it again
 * @returns what is known of the finished file
 */
export async function putFile(
  { files, root }: { files: Files; root: FileRoot },
  body: Uint8Array | ReadableStream<Uint8Array>,
  job: PutJob,
): Promise<FileStat> {
  const { path, temporaryPath, signal } = job;
  const file = await openTemporary({ files, root }, job);
  try {
    await copy(body, { file, signal });
    const stat = await explained({ verb: "write", path: temporaryPath }, async () => {
      await file.sync();
      return file.statSync();
    });
    file.close();
    await checkStillOurs({ files, root }, { temporaryPath, ours: stat });
    signal?.throwIfAborted();
    await explained({ verb: "write", path }, () => files.rename(temporaryPath, path));
    await explained({ verb: "write", path }, () => files.syncFolder(parentFolder(path)));
    return stat;
  } catch (error) {
    file.close();
    // The failure is what the caller has to know; a file that stays is replaced by the next try.
    await files.remove(temporaryPath).catch(() => {});
    throw error;
  }
}

async function openTemporary(
  { files, root }: { files: Files; root: FileRoot },
  { key, temporaryPath, permissions }: PutJob,
): Promise<OpenFile> {
  const folderKey = key.split("/").slice(0, -1).join("/");
  for (let tries = 1;; tries++) {
    if (tries > 1 || !await root.isRelied(folderKey)) await root.makeFolder(folderKey, permissions);
    try {
      const file = await createNew(files, { temporaryPath, mode: permissions.fileMode });
      await giveTo(permissions.fileOwner, { file, files });
      return file;
    } catch (error) {
      const code = systemCode(error);
      const isMissing = code === "ENOENT";
      if (isMissing || code === "ENOTDIR") await root.check();
      const wasRemoved = isMissing && await root.isRelied(folderKey);
      root.forgetFolders();
      if (wasRemoved) {
        throw new NotFoundError(
          `cannot write ${temporaryPath}: somebody removed its folder, and what the replica had is lost; if a disk ` +
            "was unmounted, mount it again",
          { cause: error },
        );
      }
      // The folder went away meanwhile, with the last object of its generation: make it again.
      if (isMissing && tries < 3) continue;
      throw explainFileError(error, { verb: "write", path: temporaryPath });
    }
  }
}

/** Each call takes its time on the way to a replica, so only what is needed is called. */
async function createNew(
  files: Files,
  { temporaryPath, mode }: { temporaryPath: string; mode: number },
): Promise<OpenFile> {
  const create = () => files.open(temporaryPath, { access: "create-new", mode });
  try {
    return await create();
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
  }
  // A leftover, or what another process writes to: unlinked, so that the two never mix their bytes.
  await files.remove(temporaryPath);
  return await create();
}

async function giveTo(owner: Owner | undefined, { file, files }: { file: OpenFile; files: Files }) {
  if (owner === undefined) return;
  const { uid, gid } = file.statSync();
  if (uid !== owner.uid || gid !== owner.gid) await files.changeOwner(file.path, owner);
}

async function copy(
  body: Uint8Array | ReadableStream<Uint8Array>,
  { file, signal }: { file: OpenFile; signal: AbortSignal | undefined },
): Promise<void> {
  const write = (bytes: Uint8Array, position: number) =>
    explained({ verb: "write", path: file.path }, () => file.write(bytes, position));
  if (body instanceof Uint8Array) return write(body, 0);
  // What is left of the source after a failure is cancelled by whoever called us.
  const reader = body.getReader();
  try {
    for (let position = 0;;) {
      const { done, value } = await (signal === undefined ? reader.read() : orAbort(reader.read(), signal));
      if (done) return;
      await write(value, position);
      position += value.length;
    }
  } finally {
    reader.releaseLock();
  }
}

/** Two processes on one replica: what the other has put in the place of our file isn't ours to publish. */
async function checkStillOurs(
  { files, root }: { files: Files; root: FileRoot },
  { temporaryPath, ours }: { temporaryPath: string; ours: FileStat },
): Promise<void> {
  const now = await explained({ verb: "write", path: temporaryPath }, () => files.stat(temporaryPath));
  if (isSameFile(now, ours)) return;
  throw new Error(
    `cannot write ${temporaryPath}: another process replaced it; let only one process write to ${root.path}`,
  );
}
