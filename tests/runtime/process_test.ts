import { test } from "node:test";
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import process from "node:process";
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
