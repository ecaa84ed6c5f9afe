import { test } from "node:test";
import assert from "node:assert/strict";
import {
  closeSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { bunLookIn } from "../../src/runtime/bun_stat.ts";
import { systemCode, systemFiles } from "../../src/runtime/files.ts";
import { visitFilesSync } from "../../src/runtime/folder_looks.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** So many that each of the ways is taken. */
const MANY_COUNT = 1000;

/** What is seen of each name, as `systemFiles` would tell it. */
function seen(folder: string, names: readonly string[]) {
  const found = new Map<string, unknown>();
  visitFilesSync(folder, {
    names,
    visit(at, { size, modifiedMs, isFile }) {
      found.set(names[at]!, { size, modifiedMs, isFile });
    },
  });
  return found;
}

function expected(folder: string, names: readonly string[]) {
  const found = new Map<string, unknown>();
  for (const name of names) {
    const stat = systemFiles.statSync(join(folder, name));
    if (stat === undefined) continue;
    found.set(name, { size: stat.size, modifiedMs: stat.modifiedAt.getTime(), isFile: stat.isFile });
  }
  return found;
}

test("visitFilesSync() tells what systemFiles tells, of few names and of many", () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "folder"));
  symlinkSync("folder", join(folder.path, "link"));
  symlinkSync("plain", join(folder.path, "file link"));
  symlinkSync("nowhere", join(folder.path, "dangling"));
  symlinkSync("round", join(folder.path, "round"));
  const seconds = [
    0,
    0.5,
    1.9999,
    -0.25,
    -0.9996,
    -1,
    -86_400.75,
    2 ** 31 + 0.123,
    2 ** 32 + 7,
    1_795_742_008.123999,
  ];
  const files = [
    "plain",
    "Grüße",
    "日本語",
    "😀",
    "ä".repeat(127),
    "a\nb",
    "-x",
    "%",
    ...seconds.map((at) => `at ${at}`),
  ];
  for (const name of files) writeFileSync(join(folder.path, name), name);
  for (const at of seconds) utimesSync(join(folder.path, `at ${at}`), at, at);
  // Sparse: bytes of more than 32 bits.
  truncateSync(join(folder.path, "plain"), 2 ** 32 + 5);
  const names = [...files, "folder", "link", "file link", "dangling", "missing", "plain/below", "."];
  const others = Array.from({ length: MANY_COUNT }, (_, at) => `missing ${at}`);
  for (const asked of [[], names, [...names, ...others], [...others, ...names, ...others]]) {
    assert.deepEqual(seen(folder.path, asked), expected(folder.path, asked));
  }
});

test("visitFilesSync() passes over all when the folder is gone, and when a file has come in its place", () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "file"), "");
  const names = Array.from({ length: MANY_COUNT }, (_, at) => `${at}`);
  for (const name of ["gone", "file"]) assert.equal(seen(join(folder.path, name), names).size, 0);
});

test("visitFilesSync() passes over what goes meanwhile, and says the system's code for what can't be seen", () => {
  using folder = temporaryFolder();
  const names = Array.from({ length: MANY_COUNT }, (_, at) => `${at}`);
  for (const name of names) writeFileSync(join(folder.path, name), "");
  let count = 0;
  visitFilesSync(folder.path, {
    names,
    visit(at) {
      count++;
      if (at + 1 < names.length) rmSync(join(folder.path, names[at + 1]!));
    },
  });
  assert.equal(count, MANY_COUNT / 2);
  for (const asked of [["x".repeat(300)], [...names, "x".repeat(300)], [...names, "x".repeat(3000)]]) {
    assert.throws(() => seen(folder.path, asked), (error) => systemCode(error) === "ENAMETOOLONG");
  }
});

test("visitFilesSync() leaves the working folder and the open files as they were", () => {
  using folder = temporaryFolder();
  const names = Array.from({ length: MANY_COUNT }, (_, at) => `${at}`);
  const before = process.cwd();
  assert.throws(
    () => visitFilesSync(folder.path, { names: [...names, "."], visit: () => assert.fail("seen") }),
    /seen/,
  );
  assert.equal(process.cwd(), before);
  const openNow = () => systemFiles.listSync("/proc/self/fd")?.length;
  const openBefore = openNow();
  for (let nth = 0; nth < 20; nth++) visitFilesSync(folder.path, { names, visit: () => {} });
  assert.equal(openNow(), openBefore);
});

test("visitFilesSync() needs no working folder", () => {
  using folder = temporaryFolder();
  const names = Array.from({ length: MANY_COUNT }, (_, at) => `${at}`);
  for (const name of names) writeFileSync(join(folder.path, name), name);
  const before = process.cwd();
  const gone = temporaryFolder();
  process.chdir(gone.path);
  gone[Symbol.dispose]();
  try {
    assert.deepEqual(seen(folder.path, names), expected(folder.path, names));
  } finally {
    process.chdir(before);
  }
});

test("bunLookIn() is there on Bun on Linux on x64, and looks from the open folder", () => {
  const isThere = "Bun" in globalThis && process.platform === "linux" && process.arch === "x64";
  const lookIn = bunLookIn();
  assert.equal(lookIn !== undefined, isThere);
  if (lookIn === undefined) return;
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "file"), "12345");
  const descriptor = openSync(folder.path, "r");
  try {
    assert.equal(lookIn(descriptor, "file")?.size, 5);
    assert.equal(lookIn(descriptor, "file")?.modifiedMs, statSync(join(folder.path, "file")).mtime.getTime());
    for (const name of ["missing", "x".repeat(300), "x".repeat(3000), "ä".repeat(512)]) {
      assert.equal(lookIn(descriptor, name), undefined);
    }
  } finally {
    closeSync(descriptor);
  }
  assert.equal(lookIn(descriptor, "file"), undefined);
});
