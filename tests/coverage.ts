/**
 * Branch coverage of the modules that everything depends on: `deno task coverage`.
 *
 * Runs their tests on Deno, which has V8 count, and prints each file's branches and each branch that no test reached.
 * Fails when one of those has no reason beside it ("Untested: …"), or when more than 2 % of a group's have one. As V8
 * has it, a branch is a part of a function that was run another number of times than what is around it.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { branchesOf, type FileBranches } from "./runner/branches.ts";

const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** The most branches of a group that may have a reason instead of a test. */
const REASONED_SHARE = 0.02;

/** What is looked at. */
const GROUPS: readonly { readonly name: string; readonly files: RegExp }[] = [
  {
    name: "checkpoint",
    files: /^src\/database\/(checkpoint|checkpoint_schedule|decide|follower|readers|standing)\.ts$/,
  },
  { name: "shadow", files: /^src\/database\/(commit_times|segment|shadow_source|shadow_wal)\.ts$/ },
  {
    name: "restore plan",
    files: /^src\/restore\/(choose|inventory|moments|plan|replay_segment|succession|wal_replay)\.ts$/,
  },
  { name: "codec", files: /^src\/(codec\/(?!lz4_wasm)|wal\/)\w+\.ts$/ },
];

/** Tests of them, without those that measure time. */
const TESTS = ["tests/codec", "tests/database", "tests/restore", "tests/wal", "tests/any_input_test.ts"];
const LEFT_OUT = ["tests/database/fast_writer_test.ts", "tests/database/hostile_test.ts"];

function testFiles(): string[] {
  return TESTS.flatMap((path) =>
    path.endsWith(".ts") ? [path] : readdirSync(join(root, path)).filter((name) => name.endsWith("_test.ts"))
      .map((name) => `${path}/${name}`)
  ).filter((path) => !LEFT_OUT.includes(path)).sort();
}

function deno(args: readonly string[], output: "inherit" | "pipe"): string {
  const { status, stdout, error } = spawnSync(process.execPath, args, {
    cwd: root,
    stdio: ["ignore", output, "inherit"],
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  if (error !== undefined || status !== 0) throw new Error(`deno ${args[0]} failed`, { cause: error });
  return stdout ?? "";
}

function measure(): FileBranches[] {
  const folder = mkdtempSync(join(tmpdir(), "walbrook-coverage-"));
  try {
    deno(
      ["test", "-A", "--quiet", `--coverage=${folder}`, "--coverage-raw-data-only", ...testFiles()],
      "inherit",
    );
    const lcov = deno(["coverage", "--quiet", "--lcov", `--include=^file://${root}/src/`, folder], "pipe");
    return branchesOf(lcov, {
      root,
      isWanted: (path) => GROUPS.some(({ files }) => files.test(path)),
      read: (path) => readFileSync(path, "utf8"),
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @returns whether the group is as it has to be */
function tell(name: string, files: readonly FileBranches[]): boolean {
  const open = files.flatMap((file) => file.open);
  const count = files.reduce((sum, file) => sum + file.count, 0);
  const bare = open.filter(({ reason }) => reason === undefined);
  const share = (part: number) => `${(100 * part / count).toFixed(1)} %`;
  console.log(
    `\n${name}: ${count - open.length} of ${count} branches (${share(count - open.length)}), ` +
      `${open.length - bare.length} more with a reason (${share(open.length - bare.length)})`,
  );
  for (const file of files) console.log(`  ${file.path} ${file.count - file.open.length}/${file.count}`);
  for (const { path, lineNumber, text, reason } of open) {
    console.log(`  ${reason === undefined ? "MISSED" : "reason"} ${path}:${lineNumber}: ${text}`);
    if (reason !== undefined) console.log(`         ${reason}`);
  }
  return bare.length === 0 && (open.length - bare.length) / count <= REASONED_SHARE;
}

try {
  const measured = measure();
  const verdicts = GROUPS.map(({ name, files }) =>
    tell(name, measured.filter(({ path }) => files.test(path)))
  );
  if (verdicts.includes(false)) {
    console.error("\nbranches without a test: write one, or the reason beside the branch");
    process.exitCode = 1;
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
