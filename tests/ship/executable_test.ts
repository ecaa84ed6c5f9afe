import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { VERSION } from "../../src/version.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { currentRuntime, recordFigure } from "../figures.ts";
import { EXECUTABLE_VARIABLES, executableProgram } from "../program.ts";
import { parseJunitReport } from "../runner/junit.ts";
import { Walbrook } from "../walbrook.ts";
import { commit, executable, release, root, targets } from "./release.ts";

const MIB = 1024 * 1024;

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  using folder = temporaryFolder();
  return spawnSync(executable(), args, { cwd: folder.path, env: { PATH: "" }, encoding: "utf8" });
}

test("executable says its version, its commit and its target", () => {
  const { status, stdout } = run("version");
  assert.equal(status, 0);
  const [version, runtime, sqlite, build] = stdout.split("\n");
  assert.equal(version, `v${VERSION}`);
  assert.match(runtime!, /^Bun \d/);
  assert.match(sqlite!, /^SQLite 3\./);
  assert.ok(build!.startsWith(`commit ${commit() || "unknown"}`), build);
  assert.ok(build!.endsWith(`, ${targets.own}`), build);
});

test("executable prints the licences of everything inside, the archive has the same", () => {
  const { status, stdout } = run("version", "-licenses");
  assert.equal(status, 0);
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const titles = ["walbrook", "the runtime: Bun", "assemblyscript", ...Object.keys(dependencies)];
  for (const title of titles) assert.match(stdout, new RegExp(`^${title}( [0-9].*)?$`, "m"));
  for (
    const licence of ["Apache License", "GNU LIBRARY GENERAL PUBLIC LICENSE", "JavaScriptCore", "SQLite"]
  ) {
    assert.ok(stdout.includes(licence), licence);
  }
  const name = `walbrook-${targets.own}`;
  const archived = execFileSync("tar", [
    "-xzOf",
    join(release(), `${name}.tar.gz`),
    `${name}/THIRD_PARTY_NOTICES.txt`,
  ]);
  assert.equal(archived.toString(), stdout);
});

test("executable of each CPU is an ELF file for it, with its SHA-256 beside it", () => {
  const machines = { "linux-x64": 62, "linux-arm64": 183 } as Record<string, number>;
  for (const target of [targets.own, targets.other]) {
    const path = join(release(), `walbrook-${target}`);
    const header = Buffer.alloc(20);
    const file = openSync(path, "r");
    readSync(file, header, 0, 20, 0);
    closeSync(file);
    assert.equal(header.toString("latin1", 0, 4), "\x7fELF");
    assert.equal(header.readUInt16LE(18), machines[target], target);
    const { size } = statSync(path);
    assert.ok(size > 40 * MIB && size < 160 * MIB, `${target} has ${size} bytes`);
    recordFigure(`executable ${target}, MiB`, Math.round(size / MIB));
    const sum = createHash("sha256").update(readFileSync(path)).digest("hex");
    assert.equal(readFileSync(`${path}.sha256`, "utf8"), `${sum}  walbrook-${target}\n`);
  }
});

test("executable holds no path of the machine that made it", () => {
  assert.equal(readFileSync(executable()).indexOf(root), -1);
});

// A worker made of text, `new Worker(source, …)`, works everywhere; the suites of verify run one.
test("executable needs no file beside it: src loads nothing by its path", () => {
  const loaders = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .filter((name) =>
      /new Worker\((?!source,)|import\.meta|with \{ type:/.test(readFileSync(join(root, "src", name), "utf8"))
    );
  assert.deepEqual(loaders, [], "a worker or a file: name it in build() of compile.sh");
});

test("executable starts cold in little time, and replicates in little memory", async () => {
  const times: number[] = [];
  for (let count = 0; count < 20; count++) {
    const startedAt = performance.now();
    const child = spawn(executable(), ["version"], { stdio: "ignore", env: {} });
    const [code] = await once(child, "exit");
    times.push(performance.now() - startedAt);
    assert.equal(code, 0);
  }
  times.sort((left, right) => left - right);
  recordFigure(
    "executable, version, ms, median of 20 (least)",
    `${times[10]!.toFixed(1)} (${times[0]!.toFixed(1)})`,
  );

  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (body TEXT); INSERT INTO t VALUES ('one')");
  const program = executableProgram(executable(), { folder: folder.path });
  await using walbrook = Walbrook.startAs(program, "replicate", path, join(folder.path, "replica"));
  await walbrook.says("snapshot written");
  // The figure is of a database at rest: until two readings, a second apart, agree.
  let before = -1;
  let stable = 0;
  await until(() => {
    if (performance.now() < stable) return false;
    stable = performance.now() + 1_000;
    const now = residentKib(walbrook.pid);
    const agrees = Math.abs(now - before) < 256;
    before = now;
    return agrees;
  }, "the memory to be steady");
  recordFigure("executable, one idle database, MiB resident", (before / 1024).toFixed(1));
  assert.ok(before < 100 * 1024, `${before} KiB`);
});

function residentKib(pid: number): number {
  return Number(/^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

/**
 * The test files that start our program as a process. The executable is the same on whichever runtime the tests run:
 * each of the two takes every second file.
 */
function commandSuites(): string[] {
  const share = currentRuntime() === "deno" ? 0 : 1;
  return readdirSync(join(root, "tests"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith("_test.ts") && !name.startsWith("ship"))
    .filter((name) =>
      /from "[./]+\/(walbrook|program)\.ts"/.test(readFileSync(join(root, "tests", name), "utf8"))
    )
    .map((name) => `./tests/${name}`).sort()
    .filter((_, at) => at % 2 === share);
}

test("executable passes every command suite from an empty folder with an empty PATH", async () => {
  using folder = temporaryFolder();
  const empty = join(folder.path, "empty");
  mkdirSync(empty);
  const report = join(folder.path, "report.xml");
  const suites = commandSuites();
  assert.ok(suites.length >= 2, suites.join(" "));
  const words = process.versions["bun"] === undefined
    ? ["test", "-A", `--junit-path=${report}`, ...suites]
    : ["test", "--timeout", "600000", "--reporter=junit", `--reporter-outfile=${report}`, ...suites];
  const env = {
    ...process.env,
    [EXECUTABLE_VARIABLES.path]: executable(),
    [EXECUTABLE_VARIABLES.folder]: empty,
  };
  const child = spawn(process.execPath, words, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => output += text);
  }
  const [code] = await once(child, "close");
  assert.equal(code, 0, output.slice(-8_000));
  const results = parseJunitReport(readFileSync(report, "utf8"));
  assert.ok(results.length >= suites.length, `${results.length} tests`);
  assert.deepEqual(readdirSync(empty), [], "left in the folder it was started in");
  recordFigure("command tests passed by the executable", results.length);
});
