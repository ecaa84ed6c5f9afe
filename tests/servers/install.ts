/**
 * Servers that somebody else wrote, for the tests of stores: installed by name at pinned versions into
 * `.cache/bin`, where they stay. Needs `go`; about five minutes and 3 GB of Go's own caches when cold.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import process from "node:process";

/** A server that tests start. */
export type ServerName = "minio" | "versitygw" | "toxiproxy" | "rclone";

interface Module {
  /** Package path with its version, as `go install` takes it. */
  readonly module: string;
  /** The name that `go install` gives the program. */
  readonly program: string;
  /** Only for the long runs. */
  readonly isExtra?: boolean;
}

const MODULES: Readonly<Record<ServerName, Module>> = {
  minio: {
    module: "github.com/minio/minio@v0.0.0-20250907161309-07c3a429bfed",
    program: "minio",
  },
  versitygw: { module: "github.com/versity/versitygw/cmd/versitygw@v1.8.0", program: "versitygw" },
  toxiproxy: { module: "github.com/Shopify/toxiproxy/v2/cmd/server@v2.5.0", program: "server" },
  rclone: { module: "github.com/rclone/rclone@v1.76.0", program: "rclone", isExtra: true },
};

const binFolder = fileURLToPath(new URL("../../.cache/bin", import.meta.url));

/** The version in the program's name, so that another one is installed beside it. */
function pathOf(name: ServerName): string {
  return `${binFolder}/${name}-${MODULES[name].module.split("@")[1]}`;
}

/** Where an installed server lies. Throws one line when it isn't there. */
export function serverProgram(name: ServerName): string {
  const path = pathOf(name);
  if (!existsSync(path)) {
    throw new Error(`the tests need ${name}: run "deno run -A tests/servers/install.ts"`);
  }
  return path;
}

/**
 * Install the servers that are missing.
 *
 * @param options.full also those for the long runs
 * @throws {Error} one line when `go` is missing or an installation fails
 */
export async function ensureServers({ full = false }: { full?: boolean } = {}): Promise<void> {
  const missing = (Object.keys(MODULES) as ServerName[])
    .filter((name) => (full || !MODULES[name].isExtra) && !existsSync(pathOf(name)));
  if (missing.length === 0) return;
  if (spawnSync("go", ["version"], { stdio: "ignore" }).status !== 0) {
    throw new Error(`tests need ${missing.join(", ")}, which "go install" makes: install Go 1.24 or later`);
  }
  mkdirSync(binFolder, { recursive: true });
  for (const name of missing) await install(name);
}

async function install(name: ServerName): Promise<void> {
  const { module, program } = MODULES[name];
  console.log(`installing ${module}`);
  // Beside its final place, so that the rename is one step: an interrupted run leaves nothing that looks whole.
  const folder = mkdtempSync(`${binFolder}/.install-`);
  try {
    const child = spawn("nice", ["-n", "10", "go", "install", module], {
      stdio: "inherit",
      env: { ...process.env, GOBIN: folder },
    });
    const [code] = await once(child, "close");
    if (code !== 0) throw new Error(`cannot install ${module}: go install failed`);
    renameSync(`${folder}/${program}`, pathOf(name));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) await ensureServers({ full: process.argv.includes("--full") });
