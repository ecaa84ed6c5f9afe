/** The command suites once more, through the executable. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import process from "node:process";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { recordFigure } from "../figures.ts";
import { EXECUTABLE_VARIABLES } from "../program.ts";
import { RUN_VARIABLE } from "../runner/execute.ts";
import { parseJunitReport } from "../runner/junit.ts";
import { denoCommand, executable, release, root } from "./release.ts";

/** Suites that start our program and don't tell more about an executable. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  // A figure of the sources on the runtime.
  "cli/lag_test.ts",
]);

/** The test files that start our program as a process: a new one is among them by itself. */
function commandSuites(): string[] {
  return readdirSync(join(root, "tests"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith("_test.ts") && !name.startsWith("ship") && !LEFT_OUT.has(name))
    .filter((name) =>
      /from "[./]+\/(walbrook|program|s3_commands)\.ts"/.test(readFileSync(join(root, "tests", name), "utf8"))
    )
    .map((name) => `./tests/${name}`).sort();
}

/**
 * Run `suites` through the executable, on Deno whichever runtime asks: the runner isn't what is tested. In a run of
 * all tests the second runtime reads the report of the first.
 */
async function reportOfSuites(suites: readonly string[]): Promise<string> {
  const runId = process.env[RUN_VARIABLE];
  using folder = temporaryFolder();
  const path = runId === undefined ? join(folder.path, "report.xml") : join(release(), `suites-${runId}.xml`);
  if (existsSync(path)) return readFileSync(path, "utf8");
  const empty = join(folder.path, "empty");
  mkdirSync(empty);
  // Renamed when it is whole: the other runtime may look at any time.
  const part = `${path}.part-${process.pid}`;
  const [runner, ...front] = denoCommand().split(" ");
  // The run of all tests checks the types.
  const words = [...front, "test", "-A", "--no-check", "--parallel", `--junit-path=${part}`, ...suites];
  const env = {
    ...process.env,
    // They wait more than they work.
    DENO_JOBS: "2",
    [EXECUTABLE_VARIABLES.path]: executable(),
    [EXECUTABLE_VARIABLES.folder]: empty,
  };
  const child = spawn(runner!, words, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => output += text);
  }
  try {
    const [code] = await once(child, "close");
    assert.equal(code, 0, output.slice(-8_000));
    assert.deepEqual(readdirSync(empty), [], "left in the folder it was started in");
    renameSync(part, path);
  } finally {
    rmSync(part, { force: true });
  }
  return readFileSync(path, "utf8");
}

test("executable passes every command suite from an empty folder with an empty PATH", async () => {
  const suites = commandSuites();
  assert.ok(suites.length >= 2, suites.join(" "));
  const results = parseJunitReport(await reportOfSuites(suites));
  const passed = results.filter(({ outcome }) => outcome === "passed");
  const files = new Set(passed.map(({ file }) => `./${file}`));
  assert.deepEqual([...files].sort(), suites);
  assert.equal(passed.length, results.length);
  recordFigure("command tests passed by the executable", results.length);
});
