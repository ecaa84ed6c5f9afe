/** A release for tests, made with README's own words by the Bun on which the tests run: once per state of the sources. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { BUN_VERSION } from "../runner/execute.ts";

/** The folder of the repository. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");

const cache = join(root, ".cache/ship");

/** This machine's target and the one of the other CPU, as `compile.sh` names them. */
export const targets = process.arch === "arm64"
  ? { own: "linux-arm64", other: "linux-x64" }
  : { own: "linux-x64", other: "linux-arm64" };

/** Everything that decides what comes out. */
const INPUTS: readonly string[] = [
  "main.ts",
  "package.json",
  "LICENSE",
  "README.md",
  "compile.sh",
  "install.sh",
];

/** The commit that is stamped in; empty outside of a checkout. */
export function commit(): string {
  const { status, stdout } = spawnSync("git", ["rev-parse", "--short=12", "HEAD"], {
    cwd: root,
    encoding: "utf8",
  });
  return status === 0 ? stdout.trim() : "";
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)).sort();
}

function sourceHash(): string {
  const hash = createHash("sha256").update(commit()).update(BUN_VERSION);
  const files = [
    ...INPUTS.map((name) => join(root, name)),
    ...["src", "tools", "packaging"].flatMap(filesBelow),
  ];
  for (const path of files) hash.update(`\0${path.slice(root.length)}\0`).update(readFileSync(path));
  return hash.digest("hex").slice(0, 16);
}

/** The words that run Bun, as `compile.sh` takes them. */
export function bunCommand(): string {
  return process.versions["bun"] === undefined ? `npx -y bun@${BUN_VERSION}` : process.execPath;
}

/** The words that run Deno. */
export function denoCommand(): string {
  if (process.versions["deno"] !== undefined) return process.execPath;
  const isThere = spawnSync("deno", ["--version"], { stdio: "ignore" }).status === 0;
  return isThere ? "deno" : "npx -y deno@2.9.6";
}

/** The block of README that follows `<!-- name -->`. */
export function readmeBlock(name: string): string {
  const text = readFileSync(join(root, "README.md"), "utf8");
  const block = new RegExp(`<!-- ${name} -->\\s*\`\`\`sh\\n([^]*?)\`\`\``).exec(text)?.[1];
  if (block === undefined) throw new Error(`README.md: no block after <!-- ${name} -->`);
  return block;
}

/** The folder with this machine's release and the other CPU's executable. */
export function release(): string {
  const folder = join(cache, sourceHash());
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  for (const name of readdirSync(cache)) {
    // Old ones; another run may be making its own at this moment.
    if (!name.startsWith("part-")) rmSync(join(cache, name), { recursive: true, force: true });
  }
  const part = mkdtempSync(join(cache, "part-"));
  const env = { ...process.env, BUN: bunCommand(), DIST: part };
  try {
    execFileSync("sh", ["-euc", readmeBlock("build")], {
      cwd: root,
      env,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const words = ["--bun", "--no-archive", targets.other];
    execFileSync("./compile.sh", words, { cwd: root, env, stdio: ["ignore", "ignore", "pipe"] });
    renameSync(part, folder);
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    // The other runtime's run was faster.
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** This machine's executable. */
export function executable(): string {
  return join(release(), `walbrook-${targets.own}`);
}
