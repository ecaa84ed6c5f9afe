import { test } from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
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

/** A runtime that writes down what it is asked to compile, and makes a file that runs nowhere. */
function recordingRuntime(folder: string): { command: string; targets: () => string[] } {
  const script = join(folder, "runtime");
  const lines = [
    "#!/bin/sh",
    'case "$*" in',
    // The text of the licences isn't what is asked here.
    '  *tools/write_build.ts*) for word; do case $word in */compile.*) echo x >"$word/THIRD_PARTY_NOTICES.txt" ;; esac; done; exit ;;',
    "esac",
    "while [ $# -gt 0 ]; do case $1 in",
    "  --target=*) target=${1#*=} ;; --target) target=$2 ;;",
    "  --outfile=*) output=${1#*=} ;; --output) output=$2 ;;",
    "esac; shift; done",
    `echo "$target" >>${folder}/targets`,
    'echo "$target" >"$output"',
  ];
  writeFileSync(script, lines.join("\n"), { mode: 0o755 });
  return {
    command: script,
    targets: () => readFileSync(join(folder, "targets"), "utf8").trim().split("\n"),
  };
}

test("compile.sh knows five targets by the names of both tools, with a SHA-256 beside each file", () => {
  const cases = [
    {
      words: ["all"],
      expected: [
        "x86_64-unknown-linux-gnu",
        "aarch64-unknown-linux-gnu",
        "x86_64-apple-darwin",
        "aarch64-apple-darwin",
        "x86_64-pc-windows-msvc",
      ],
    },
    {
      words: ["--bun", "all"],
      expected: [
        "bun-linux-x64-baseline",
        "bun-linux-arm64",
        "bun-darwin-x64-baseline",
        "bun-darwin-arm64",
        "bun-windows-x64-baseline",
      ],
    },
  ];
  for (const { words, expected } of cases) {
    using folder = temporaryFolder();
    const dist = join(folder.path, "dist");
    const { command, targets } = recordingRuntime(folder.path);
    const run = compile(words, { DIST: dist, DENO: command, BUN: command });
    assert.equal(run.status, 0, run.stderr);
    assert.deepEqual(targets(), expected);
    const files = ["linux-x64", "linux-arm64", "macos-x64", "macos-arm64", "windows-x64"].flatMap((name) => [
      `walbrook-${name}${name.startsWith("windows") ? ".exe" : ""}`,
      `walbrook-${name}.tar.gz`,
    ]);
    const all = ["install.sh", ...files, ...files.map((name) => `${name}.sha256`)];
    assert.deepEqual(readdirSync(dist).sort(), all.sort());
    for (const name of files) {
      const check = spawnSync("sha256sum", ["-c", `${name}.sha256`], { cwd: dist, encoding: "utf8" });
      assert.equal(check.stdout, `${name}: OK\n`);
    }
  }
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
