/** Which file system a path lies on, by the name that Linux mounts it with. */
import * as fs from "node:fs";

/** `statfs` says a number; these are the ones that go over a network or to another machine, from `linux/magic.h`. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0x6969, "nfs"],
  [0x517b, "smb"],
  [0xff534d42, "cifs"],
  [0xfe534d42, "smb3"],
  [0x01021997, "9p"],
  [0x00c36400, "ceph"],
  [0x5346414f, "afs"],
  [0x6b414653, "afs"],
  [0x73757245, "coda"],
  [0x786f4256, "vboxsf"],
]);

/** All of FUSE, and virtiofs, share this one. */
const FUSE = 0x65735546;

/**
 * The type of a file system that isn't plainly local, as `nfs`, `cifs`, `9p`, `virtiofs`, `fuse.sshfs`.
 *
 * @returns `undefined` for every other one, and where the system doesn't tell
 */
export function fileSystemTypeSync(path: string): string | undefined {
  try {
    const type = fs.statfsSync(path).type >>> 0;
    if (type !== FUSE) return NAMES.get(type);
    return mountedType(fs.readFileSync("/proc/self/mountinfo", "utf8"), fs.statSync(path).dev) ?? "fuse";
  } catch {
    // A system without these questions: nothing is known.
    return undefined;
  }
}

/**
 * The type that `device` is mounted with, by what Linux tells of this process's mounts.
 *
 * @param mounts the text of `/proc/self/mountinfo`
 * @param device as `stat` gives it
 */
export function mountedType(mounts: string, device: number): string | undefined {
  const name = `${major(device)}:${minor(device)}`;
  for (const line of mounts.split("\n")) {
    // 36 35 98:0 /root /mount-point options optional-fields - type source options
    const [front, back] = line.split(" - ");
    if (front?.split(" ")[2] === name) return back?.split(" ")[0];
  }
  return undefined;
}

// Linux's encoding; bits above 32 aren't used by it.
function major(device: number): number {
  return (device >>> 8) & 0xfff;
}

function minor(device: number): number {
  return (device & 0xff) | ((device >>> 12) & 0xfff00);
}
