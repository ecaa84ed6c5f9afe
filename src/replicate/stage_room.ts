/** Room on local disks for the snapshots that are about to be staged there. */
import type { Files } from "../runtime/files.ts";

/** What was taken and not given back, in bytes for each device: those who have it may not have written it yet. */
const taken = new Map<number, number>();

/**
 * Take `bytes` of the disk of `folder`, which must be there.
 *
 * @returns to be disposed of when all is written that will be; `undefined` when there isn't so much
 */
export async function takeRoom(
  folder: string,
  { bytes, files }: { bytes: number; files: Files },
): Promise<Disposable | undefined> {
  const device = (await files.stat(folder))?.device ?? 0;
  const free = await files.freeBytes(folder);
  const takenByOthers = taken.get(device) ?? 0;
  if (free - takenByOthers < bytes) return undefined;
  taken.set(device, takenByOthers + bytes);
  let left = bytes;
  return {
    [Symbol.dispose]() {
      taken.set(device, taken.get(device)! - left);
      left = 0;
    },
  };
}
