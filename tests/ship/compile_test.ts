import { test } from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { collectNotices } from "../../tools/notices.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { denoCommand, root } from "./release.ts";

function compile(words: readonly string[], environment: Record<string, string> = {}) {
  return spawnSync("dash", ["./compile.sh", ...words], {
    cwd: root,
    env: { ...process.env, ...environment },
    encoding: "utf8",
  });
}

test("compile.sh and install.sh please shellcheck as POSIX sh", () => {
  for (const script of ["compile.sh", "install.sh"]) {
    const { status, stdout } = spawnSync("shellcheck", ["-s", "sh", script], { cwd: root, encoding: "utf8" });
    assert.equal(status, 0, stdout);
  }
});

test("compile.sh refuses unknown words in one line", () => {
  using folder = temporaryFolder();
  const cases: [string, RegExp][] = [
    ["linux-riscv", /^compile\.sh: linux-riscv: unknown target; there are: linux-x64 .* windows-x64\n$/],
    ["--fast", /^compile\.sh: --fast: unknown option\n$/],
  ];
  for (const [word, expected] of cases) {
    const { status, stdout, stderr } = compile([word], { DIST: join(folder.path, "dist") });
    assert.deepEqual({ status, stdout }, { status: 1, stdout: "" });
    assert.match(stderr, expected);
  }
  assert.deepEqual(readdirSync(folder.path), []);
});

test("compile.sh says in one line that Deno's runtime can't be downloaded", () => {
  using folder = temporaryFolder();
  // A proxy at a port that nobody listens on, and nothing kept from before.
  const unreachable = ["HTTPS_PROXY=http://127.0.0.1:9", `DENO_DIR=${join(folder.path, "deno")}`];
  const { status, stdout, stderr } = compile(["linux-x64"], {
    DIST: join(folder.path, "dist"),
    DENO: `env ${unreachable.join(" ")} ${denoCommand()}`,
  });
  assert.deepEqual({ status, stdout }, { status: 1, stdout: "" }, stderr);
  assert.match(
    stderr,
    /^compile\.sh: deno for linux-x64: the runtime for it can't be downloaded: .*--bun\n$/,
  );
  assert.deepEqual(readdirSync(join(folder.path, "dist")), []);
});

test("collectNotices() follows dependencies, knows both runtimes, and refuses a package without a licence", () => {
  const bun = collectNotices({ root, runtime: "bun", packages: ["saxes"] });
  // The one has its text in packaging/licences, the other comes through it.
  for (const title of [/^saxes 6\.\S+ \(ISC\)$/m, /^xmlchars \S+ \(MIT\)$/m, /^the runtime: Bun$/m]) {
    assert.match(bun, title);
  }
  assert.match(collectNotices({ root, runtime: "deno", packages: [] }), /V8 +BSD 3-Clause/);

  using folder = temporaryFolder();
  const bare = join(folder.path, "node_modules/bare");
  mkdirSync(bare, { recursive: true });
  writeFileSync(join(bare, "package.json"), '{ "version": "1.0.0" }');
  cpSync(join(root, "LICENSE"), join(folder.path, "LICENSE"));
  cpSync(join(root, "packaging"), join(folder.path, "packaging"), { recursive: true });
  const collect = (name: string) => collectNotices({ root: folder.path, runtime: "bun", packages: [name] });
  assert.throws(() => collect("bare"), /^Error: bare: no licence file in the package/);
  assert.throws(() => collect("absent"), /^Error: absent: not in node_modules/);
});
