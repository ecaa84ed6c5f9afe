import { StoreError } from "../errors.ts";
import { systemCode } from "../runtime/files.ts";

/** What each system error means for a replica in a folder, and what helps. */
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "its disk is full; free some space there",
  EDQUOT: "its disk quota is used up; free some space there or raise the quota",
  EACCES: "permission denied; let the user that walbrook runs as use this folder",
  EPERM: "permission denied; let the user that walbrook runs as use this folder",
  EROFS: "its file system is mounted read-only; mount it for writing",
  ENOTDIR: "a part of this path is a file, not a folder; move it away or choose another folder",
  EISDIR: "there is a folder in its place; move it away",
  ELOOP: "its symbolic links go round in a circle; mend them",
  ENAMETOOLONG: "the path is too long; choose another folder",
  EMFILE: "too many open files; raise the limit (ulimit -n)",
  ENFILE: "too many open files on this machine; raise its limit",
  EIO: "its disk fails; check it",
  ESTALE: "its network file system has lost it; mount it again",
};

/** What a system refuses at once, without any work: not a full disk, which is filled up again by each try. */
const AWAY_CODES: ReadonlySet<string> = new Set([
  ...["EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR", "ELOOP", "ESTALE", "ENOTCONN", "EHOSTDOWN", "ENODEV"],
]);

/** `cannot <verb> <path>: <why; what to do>`, with the system's error as cause. */
export function explainFileError(error: unknown, { verb, path }: { verb: string; path: string }): Error {
  const code = systemCode(error);
  const reason = code === undefined ? undefined : REASONS[code];
  const message = `cannot ${verb} ${path}`;
  return new StoreError(reason === undefined ? message : `${message}: ${reason}`, {
    isAway: code !== undefined && AWAY_CODES.has(code),
    cause: error,
  });
}

/** What `act` resolves to; its failure is explained as in `explainFileError`. */
export async function explained<T>(
  { verb, path }: { verb: string; path: string },
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw explainFileError(error, { verb, path });
  }
}
