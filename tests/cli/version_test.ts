import { test } from "node:test";
import assert from "node:assert/strict";
import { main } from "../../src/cli/main.ts";
import { runtimeVersion } from "../../src/runtime/process.ts";
import { sqliteVersion } from "../../src/runtime/sqlite.ts";
import { VERSION } from "../../src/version.ts";

async function run(args: string[], build?: Parameters<typeof main>[1]): Promise<[number, string, string]> {
  let [stdout, stderr] = ["", ""];
  const output = {
    writeOutput: (text: string) => stdout += text,
    writeError: (text: string) => stderr += text,
  };
  return [await main(args, { ...build, output }), stdout, stderr];
}

test("walbrook version -json prints the versions as an object", async () => {
  const expected = { version: VERSION, runtime: runtimeVersion(), sqlite: sqliteVersion() };
  const [code, stdout, stderr] = await run(["version", "-json"]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.deepEqual(JSON.parse(stdout), expected);
  const build = { commit: "abc", target: "linux-x64", loadNotices: () => Promise.resolve("") };
  const [, built] = await run(["version", "-json"], { build });
  assert.deepEqual(JSON.parse(built), { ...expected, commit: "abc", target: "linux-x64" });
});

test("walbrook version refuses -json for what is text", async () => {
  const [code, stdout, stderr] = await run(["version", "-json", "-licenses"]);
  assert.deepEqual([code, stdout, stderr], [1, "", "walbrook version: -licenses is text: leave -json out\n"]);
});
