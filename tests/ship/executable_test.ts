import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { VERSION } from "../../src/version.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { recordFigure } from "../figures.ts";
import { executableProgram } from "../program.ts";
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

/** The files of src/ whose text matches. */
function sourcesWith(pattern: RegExp): string[] {
  return readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && pattern.test(readFileSync(join(root, "src", name), "utf8")));
}

// A worker made of text, `new Worker(source, …)`, works everywhere; the suites of verify run one.
test("executable needs no file beside it: src loads nothing by its path", () => {
  const loaders = sourcesWith(/new Worker\((?!source\b)|import\.meta|with \{ type:/);
  assert.deepEqual(loaders, [], "a worker or a file: name it in build() of compile.sh");
});

// `deno compile` of some versions finds no module in a Blob (denoland/deno#29962): a worker's text is a `data:` URL.
test("executable of every Deno has its workers: src makes none from a Blob", () => {
  assert.deepEqual(sourcesWith(/createObjectURL/), []);
  const workers = sourcesWith(/new Worker\(/);
  assert.deepEqual(workers, sourcesWith(/const source = `data:text\/javascript,/));
  assert.ok(workers.length > 0);
});

test("executable is not changed by files of the folder that it is started in", () => {
  using folder = temporaryFolder();
  const write = (name: string, text: string) => writeFileSync(join(folder.path, name), text);
  write("bunfig.toml", 'preload = ["./theirs.ts"]\n');
  write("theirs.ts", 'console.log("theirs")\n');
  write(".env", "AWS_ACCESS_KEY_ID=theirs\n");
  const words = ["restore", "-o", join(folder.path, "app.db"), "s3://bucket.localhost:9/app"];
  const { status, stdout, stderr } = spawnSync(executable(), words, {
    cwd: folder.path,
    env: { PATH: "", HOME: folder.path, AWS_EC2_METADATA_DISABLED: "true" },
    encoding: "utf8",
  });
  assert.deepEqual({ status, stdout }, { status: 1, stdout: "" });
  // Half of a key would be complained of.
  assert.match(stderr, /no S3 credentials found/);
});

test("executable starts cold in little time, and replicates in little memory", async () => {
  const times: number[] = [];
  for (let count = 0; count < 20; count++) times.push(await versionMs());
  times.sort((left, right) => left - right);
  recordFigure(
    "executable, version, ms, median of 20 (least)",
    `${times[10]!.toFixed(1)} (${times[0]!.toFixed(1)})`,
  );
  // The median is that of a busy machine, which gives us a moment of its own now and then.
  let least = times[0]!;
  for (let count = 0; count < 200 && least > 20; count++) least = Math.min(least, await versionMs());
  assert.ok(least <= 20, `version takes ${least} ms`);

  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (body TEXT); INSERT INTO t VALUES ('one')");
  const program = executableProgram(executable(), { folder: folder.path });
  await using walbrook = Walbrook.startAs(program, "replicate", path, join(folder.path, "replica"));
  await walbrook.says("snapshot written");
  const limitKib = 45e6 / 1024;
  await until(() => residentKib(walbrook.pid) < limitKib, "less than 45 MB resident");
  // Steady: until two readings, a second apart, agree.
  let [before, readAt] = [-1, 0];
  await until(() => {
    if (performance.now() < readAt + 1_000) return false;
    readAt = performance.now();
    const now = residentKib(walbrook.pid);
    const agrees = Math.abs(now - before) < 256;
    before = now;
    return agrees;
  }, "the memory to be steady");
  const megabytes = before * 1024 / 1e6;
  recordFigure("executable, one idle database, MB resident", megabytes.toFixed(1));
  assert.ok(megabytes <= 45, `${megabytes} MB`);
});

async function versionMs(): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(executable(), ["version"], { stdio: "ignore", env: {} });
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
  return performance.now() - startedAt;
}

function residentKib(pid: number): number {
  return Number(/^VmRSS:\s*(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
