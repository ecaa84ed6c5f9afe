import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileSystemTypeSync, mountedType } from "../../src/runtime/file_system_type.ts";

const MOUNTS = `22 27 0:21 / /sys rw,relatime shared:7 - sysfs sysfs rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
42 27 0:39 / /mnt/notes\\040of\\040mine rw,nosuid,nodev,relatime - fuse.sshfs host:/notes rw,user_id=0,group_id=0
43 27 0:300 / /mnt/shared rw - virtiofs shared rw
44 27 259:262147 / /mnt/large rw - xfs /dev/nvme9n1 rw
`;

test("mountedType() finds a device among the mounts", () => {
  const cases: [number, string | undefined][] = [
    [0xfe00, "ext4"],
    [39, "fuse.sshfs"],
    // The upper bits of the minor number lie above the major one: makedev(0, 300), makedev(259, 262147).
    [0x10002c, "virtiofs"],
    [0x40010303, "xfs"],
    [40, undefined],
  ];
  for (const [device, expected] of cases) assert.equal(mountedType(MOUNTS, device), expected);
  assert.equal(mountedType("", 39), undefined);
  assert.equal(mountedType("nonsense\n- - -\n", 39), undefined);
});

test("mountedType() names the mount of this repository as findmnt does", () => {
  const path = new URL(".", import.meta.url).pathname;
  const device = Number(execFileSync("stat", ["-c", "%d", path], { encoding: "utf8" }));
  const expected = execFileSync("stat", ["-f", "-c", "%T", path], { encoding: "utf8" }).trim();
  const found = mountedType(readFileSync("/proc/self/mountinfo", "utf8"), device);
  assert.ok(found !== undefined && expected.startsWith(found.slice(0, 3)), `${found}, ${expected}`);
});

test("fileSystemTypeSync() has no word for a local file system, nor for a path that isn't there", () => {
  for (const path of ["/", "/dev/shm", "/proc", "/no/such/path"]) {
    assert.equal(fileSystemTypeSync(path), undefined, path);
  }
});
