import { test } from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { main } from "../../src/cli/main.ts";

async function run(...args: string[]) {
  const result = { exitCode: -1, output: "", error: "" };
  const output = {
    writeOutput: (text: string) => result.output += text,
    writeError: (text: string) => result.error += text,
  };
  result.exitCode = await main(args, { output });
  return result;
}

/** The real program in a process of its own, on the runtime that the test runs on. */
function spawnProgram(...args: string[]) {
  const script = fileURLToPath(new URL("../../main.ts", import.meta.url));
  const command = process.versions["bun"] === undefined ? ["run", "-A", script] : [script];
  return spawnSync(process.execPath, [...command, ...args], { encoding: "utf8" });
}

test("main() shows the general usage: 1 without arguments, 0 when asked for (case 101)", async () => {
  const cases: [string[], number][] = [
    [[], 1],
    [["-x"], 1],
    [["help"], 0],
    [["-h"], 0],
    [["-help"], 0],
    [["--help"], 0],
  ];
  for (const [args, exitCode] of cases) {
    const result = await run(...args);
    assert.equal(result.exitCode, exitCode, args.join(" "));
    assert.match(result.output, /Usage:\n\n {4}walbrook <command>/);
    assert.match(result.output, /\n {4}restore {6}bring/);
    assert.equal(result.error, "");
  }
});

test("main() refuses an unknown command (case 101)", async () => {
  for (const name of ["x", "constructor", ""]) {
    const expected = { exitCode: 1, output: "", error: `walbrook ${name}: unknown command\n` };
    assert.deepEqual(await run(name), expected);
  }
});

test("main() shows a command's usage", async () => {
  for (const args of [["restore", "-h"], ["restore", "--help"], ["help", "restore"]]) {
    const { exitCode, output, error } = await run(...args);
    assert.deepEqual({ exitCode, error }, { exitCode: 0, error: "" }, args.join(" "));
    assert.match(output, /^\nThe restore command [^]*-if-replica-exists/);
  }
  assert.match((await run("replicate", "-h")).output, /^\nThe replicate command /);
  assert.match((await run("version", "-h")).output, /^\nThe version command /);
});

test("main() shows every command's usage with examples, whose flags it explains", async () => {
  const general = (await run("help")).output;
  const names = Array.from(general.matchAll(/^ {4}([a-z]+) {2,}\S/gm), ([, name]) => name!);
  assert.ok(names.length >= 9 && names.includes("version"), names.join(" "));
  for (const name of names) {
    const { exitCode, output, error } = await run("help", name);
    assert.deepEqual({ exitCode, error }, { exitCode: 0, error: "" }, name);
    assert.deepEqual(await run(name, "-h"), { exitCode, output, error });
    const [explained, examples] = output.split("\nExamples:\n");
    assert.ok(examples?.includes(`    $ walbrook ${name}`), name);
    const lines = examples!.replaceAll("\\\n", "").split("\n").filter((line) => line.startsWith("    $ "));
    // Without what other programs are told, and what stands in quotes.
    const words = lines.flatMap((line) => line.replaceAll(/".*?"/g, "").split(/ [|&]/)[0]!.split(" "));
    for (const flag of words.filter((word) => word.startsWith("-"))) {
      assert.match(explained!, new RegExp(`^ {4}${flag}( |$)`, "m"), `${name}: ${flag}`);
    }
  }
});

test("main() says in one line what is wrong, with the usage after a flag that can't be read (102, 104)", async () => {
  const flag = await run("restore", "-if-db-not-exists=maybe", "-o", "x", "/backup");
  assert.equal(flag.exitCode, 1);
  assert.equal(
    flag.error,
    'walbrook restore: invalid boolean value "maybe" for -if-db-not-exists: parse error\n',
  );
  assert.match(flag.output, /The restore command/);

  const order = await run("restore", "/data/app.db", "-o", "x");
  assert.deepEqual(order, { exitCode: 1, output: "", error: "walbrook restore: too many arguments\n" });
});

test("main() prints the versions (101)", async () => {
  const { exitCode, output, error } = await run("version");
  assert.deepEqual({ exitCode, error }, { exitCode: 0, error: "" });
  const list = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  const [ours, runtime, sqlite, rest] = output.split("\n");
  assert.equal(ours, `v${list.version}`);
  assert.match(
    runtime!,
    process.versions["bun"] === undefined ? /^Deno \d+\.\d+\.\d+$/ : /^Bun \d+\.\d+\.\d+$/,
  );
  assert.match(sqlite!, /^SQLite 3\.\d+\.\d+$/);
  assert.equal(rest, "");
  assert.equal((await run("version", "x")).error, "walbrook version: too many arguments\n");
});

test("main.ts runs as a program", () => {
  const version = spawnProgram("version");
  assert.equal(version.status, 0);
  assert.match(version.stdout, /^v\d+\.\d+\.\d+\n/);
  assert.equal(version.stderr, "");

  const unknown = spawnProgram("x");
  assert.equal(unknown.status, 1);
  assert.equal(unknown.stdout, "");
  assert.equal(unknown.stderr, "walbrook x: unknown command\n");
});
