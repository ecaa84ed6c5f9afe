import { test } from "node:test";
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { lateReader } from "../doubles/late_reader.ts";
import { environmentVariable, expandPath, runtimeVersion } from "../../src/runtime/process.ts";

const MODULE = new URL("../../src/runtime/process.ts", import.meta.url).href;

/** Words that run `code`, a module that sees everything of runtime/process.ts as `us`. */
function scriptCommand(code: string): [string, string[], () => void] {
  const folder = mkdtempSync(join(tmpdir(), "walbrook-process-"));
  const script = join(folder, "script.mjs");
  writeFileSync(script, `import * as us from ${JSON.stringify(MODULE)};\n${code}`);
  const args = process.versions["bun"] === undefined ? ["run", "-A", "--no-config", script] : [script];
  return [process.execPath, args, () => rmSync(folder, { recursive: true })];
}

function runScript(code: string, options: { args?: string[] } = {}) {
  const [program, args, clean] = scriptCommand(code);
  try {
    return spawnSync(program, [...args, ...options.args ?? []], {
      encoding: "utf8",
      maxBuffer: 2 ** 26,
      timeout: 20_000,
    });
  } finally {
    clean();
  }
}

test("programArguments() gives what follows the program's name", () => {
  const { stdout } = runScript("us.writeOutput(JSON.stringify(us.programArguments()))", {
    args: ["restore", "-o", "a b", "--", "-h"],
  });
  assert.deepEqual(JSON.parse(stdout), ["restore", "-o", "a b", "--", "-h"]);
});

test("writeOutput() and writeError() have written everything when the process ends at once", () => {
  const code = 'us.writeOutput("ö".repeat(1_000_000)); us.writeError("e\\n"); us.exitProcess(3);';
  const { status, stdout, stderr } = runScript(code);
  assert.equal(status, 3);
  assert.equal(stdout.length, 1_000_000);
  assert.equal(stderr, "e\n");
});

/** As `runScript()`, with nothing read before the script has been writing for so many seconds, or has ended. */
function runScriptReadLate(code: string, { seconds }: { seconds: number }) {
  const [program, args, clean] = scriptCommand(code);
  const [reader, ...words] = lateReader([program, ...args], { seconds });
  try {
    return spawnSync(reader, words, { encoding: "utf8", maxBuffer: 2 ** 26, timeout: 20_000 });
  } finally {
    clean();
  }
}

test("writeOutput() writes all of a text once into a pipe that is full for a while, wherever its lines end", () => {
  // Ends of lines fall on all places of a page, and texts end within one.
  const lengths = [0, 1, 500, 1023, 1024, 1025, 4095, 4096, 4097, 9001];
  const texts = Array.from({ length: 200 }, (_, at) => {
    const text = `${at}`.padEnd(lengths[at % lengths.length]!, `${at % 10}`);
    return at % 3 === 0 ? text : at % 3 === 1 ? `${text}\n` : `${text}\n${text}`;
  });
  const { status, stdout, stderr } = runScriptReadLate(
    `for (const text of ${JSON.stringify(texts)}) us.writeOutput(text); us.exitProcess(0);`,
    { seconds: 0.2 },
  );
  assert.equal(status, 0, stderr);
  assert.ok(stdout === texts.join(""), `${stdout.length} bytes`);
});

test("writeRecord() gives up a pipe that nobody reads, since replication goes before its log", () => {
  const { status, stdout, stderr } = runScriptReadLate(
    'us.writeRecord("x".repeat(100_000) + "\\n"); us.writeError("went on\\n");',
    { seconds: 15 },
  );
  assert.equal(status, 0);
  assert.equal(stderr, "went on\n");
  assert.ok(stdout.length > 0 && stdout.length < 100_000, `${stdout.length} bytes`);
});

test("writeOutput() fails when there is no room", () => {
  const [program, args, clean] = scriptCommand(`
    try {
      us.writeOutput("text");
    } catch (error) {
      us.writeError(error.message);
    }
  `);
  const full = openSync("/dev/full", "w");
  try {
    const { stderr } = spawnSync(program, args, { encoding: "utf8", stdio: ["ignore", full, "pipe"] });
    assert.equal(stderr, "cannot write to standard output");
  } finally {
    closeSync(full);
    clean();
  }
});

test("writeOutput() passes over a reader that has gone", () => {
  const [program, args, clean] = scriptCommand(
    'for (let i = 0; i < 1000; i++) us.writeOutput("x".repeat(1000)); us.writeError("still here\\n");',
  );
  try {
    const quoted = [program, ...args].map((word) => `'${word}'`).join(" ");
    const { status, stderr } = spawnSync("bash", ["-c", `set -o pipefail; ${quoted} | true`], {
      encoding: "utf8",
      timeout: 20_000,
    });
    assert.equal(status, 0);
    assert.equal(stderr, "still here\n");
  } finally {
    clean();
  }
});

test("isErrorTerminal() is false for a pipe", () => {
  assert.equal(runScript("us.writeOutput(String(us.isErrorTerminal()))").stdout, "false");
});

test("onSignal() calls the handler until it is disposed of", async () => {
  const [program, args, clean] = scriptCommand(`
    setTimeout(() => us.exitProcess(9), 15_000);
    const held = us.onSignal(["SIGTERM"], (signal) => {
      held[Symbol.dispose]();
      us.writeOutput("got " + signal + "\\n");
    });
    us.writeOutput("ready\\n");
  `);
  const child = spawn(program, args, {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 20_000,
    killSignal: "SIGKILL",
  });
  try {
    let output = "";
    const ended = once(child, "close");
    child.stdout.on("data", (chunk) => {
      output += chunk;
      // On Deno child.kill() sends nothing a second time. The first signal reaches the handler; the second one, sent after its disposal, ends the process.
      process.kill(child.pid!, "SIGTERM");
    });
    const [, signal] = await ended;
    assert.equal(output, "ready\ngot SIGTERM\n");
    assert.equal(signal, "SIGTERM");
  } finally {
    if (child.exitCode === null && child.signalCode === null) process.kill(child.pid!, "SIGKILL");
    clean();
  }
});

test("expandPath() makes paths absolute and knows the user's home", () => {
  const home = userInfo().homedir;
  const cases: [string, string][] = [
    ["~", home],
    ["~/a/../b", join(home, "b")],
    ["~other/a", join(process.cwd(), "~other/a")],
    ["a//b/./c", join(process.cwd(), "a/b/c")],
    ["", process.cwd()],
    ["/a/../b/", "/b"],
  ];
  for (const [path, expanded] of cases) assert.equal(expandPath(path), expanded, path);
});

test("runtimeVersion() and environmentVariable() tell where we are", () => {
  assert.match(runtimeVersion(), /^(Deno|Bun) \d+\.\d+\.\d+/);
  assert.equal(environmentVariable("PATH"), process.env["PATH"]);
  assert.equal(environmentVariable("WALBROOK_NOT_SET"), undefined);
});
