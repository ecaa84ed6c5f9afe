import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../demo.ts", import.meta.url));

/** @param onOutput is told all that was printed so far */
function runDemo(
  args: readonly string[] = [],
  onOutput: (output: string) => void = () => {},
): Promise<{ code: number | null; output: string; errors: string }> {
  const words = "Deno" in globalThis ? ["run", "-A", script, ...args] : [script, ...args];
  const child = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk) => onOutput(output += chunk));
  child.stderr.on("data", (chunk) => errors += chunk);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, output, errors })));
}

test("demo brings back every page of a database that another process wrote", async () => {
  const { code, output, errors } = await runDemo();
  assert.equal(code, 0, errors);
  assert.match(output, /compared {3}\d+ pages of 4096 bytes: all equal\n$/);
  const hashes = [...output.matchAll(/SHA-256 (?:of the final file )?([0-9a-f]{64})/g)].map(([, hash]) =>
    hash
  );
  assert.equal(hashes.length, 2);
  assert.equal(hashes[0], hashes[1]);
  assert.ok(output.trim().split("\n").length <= 12);
});

test("demo fails when one byte of the replica was changed", async () => {
  const { code, output, errors } = await runDemo(["--damage"]);
  assert.equal(code, 1);
  const key = /damaged {4}byte \d+ of .*replica\/(\S+)/.exec(output)?.[1];
  assert.ok(key !== undefined && errors.includes(key), errors);
  assert.doesNotMatch(output, /compared/);
});

test("demo ends, and replicates no longer, when its writer fails", async () => {
  let folder: string | undefined;
  const processes = (word: string) =>
    readdirSync("/proc").filter((name) => /^\d+$/.test(name) && commandOf(name).includes(word)).map(Number);
  let isKilled = false;
  const { code, errors } = await runDemo([], (output) => {
    folder ??= /^database +(.*)\/app\.db$/m.exec(output)?.[1];
    if (isKilled || !/^writes /m.test(output)) return;
    isKilled = true;
    const kill = () => {
      const [writer] = processes(`--writer ${folder}`);
      if (writer === undefined) setTimeout(kill, 10);
      else process.kill(writer, "SIGKILL");
    };
    kill();
  });
  assert.equal(code, 1);
  assert.match(errors, /^demo failed: the writer ended with exit code/);
  assert.ok(folder !== undefined && !existsSync(folder));
  assert.deepEqual(processes(folder), []);
});

/** The words of a process; empty when it is gone. */
function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}
