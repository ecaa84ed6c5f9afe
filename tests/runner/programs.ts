/** Programs of the operating system that tests call as oracles and as neighbours of a database. */
import { spawnSync } from "node:child_process";
import process from "node:process";

interface Program {
  readonly debianPackage: string;
  /** Succeeds when the program is there and usable. */
  readonly probe: readonly [string, ...string[]];
}

const PROGRAMS: readonly Program[] = [
  { debianPackage: "age", probe: ["age", "--version"] },
  { debianPackage: "lz4", probe: ["lz4", "--version"] },
  { debianPackage: "sqlite3", probe: ["sqlite3", "--version"] },
  { debianPackage: "openssl", probe: ["openssl", "version"] },
  { debianPackage: "prometheus", probe: ["promtool", "--version"] },
  { debianPackage: "python3", probe: ["python3", "-c", "import sqlite3"] },
  { debianPackage: "curl", probe: ["curl", "--version"] },
  { debianPackage: "wget", probe: ["wget", "--version"] },
  { debianPackage: "dash", probe: ["dash", "-c", ":"] },
  { debianPackage: "shellcheck", probe: ["shellcheck", "--version"] },
  { debianPackage: "systemd", probe: ["systemd-analyze", "--version"] },
  { debianPackage: "util-linux", probe: ["unshare", "--version"] },
  { debianPackage: "tini", probe: ["tini", "--version"] },
  { debianPackage: "gcc", probe: ["gcc", "--version"] },
  { debianPackage: "libc6-dev", probe: ["gcc", "-E", "-include", "stdio.h", "-x", "c", "/dev/null"] },
];

function succeeds([program, ...args]: readonly [string, ...string[]]): boolean {
  return spawnSync(program, args, { stdio: "ignore" }).status === 0;
}

function missingPackages(): string[] {
  return PROGRAMS.filter(({ probe }) => !succeeds(probe)).map(({ debianPackage }) => debianPackage);
}

/**
 * Make sure that the programs are there; as root on Debian missing ones are installed.
 *
 * @throws {Error} one line with what to install
 */
export function ensurePrograms(): void {
  const wanted = missingPackages();
  if (wanted.length === 0) return;
  const advice = `tests need ${wanted.join(", ")}: install with "apt-get install ${wanted.join(" ")}"`;
  if (process.getuid?.() !== 0 || !succeeds(["apt-get", "--version"])) throw new Error(advice);
  console.log(`installing ${wanted.join(", ")}`);
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", ...wanted]]) {
    spawnSync("apt-get", args, { stdio: "inherit", env: environment });
  }
  if (missingPackages().length > 0) throw new Error(advice);
}
