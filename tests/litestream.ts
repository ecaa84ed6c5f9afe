/** The real Litestream 0.3.13, the judge of what we write and the writer of what we have to read. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

let knownPath: string | undefined;

/** The program's path. @throws {Error} unless it says that it is v0.3.13 */
export function litestreamPath(): string {
  if (knownPath !== undefined) return knownPath;
  const path = fileURLToPath(
    new URL("../node_modules/@flydotio/litestream-linux-x64/litestream", import.meta.url),
  );
  const { stdout, error } = spawnSync(path, ["version"], { encoding: "utf8" });
  const version = error?.message ?? stdout.trim();
  if (version !== "v0.3.13") throw new Error(`${path} is not Litestream v0.3.13: ${version}`);
  return knownPath = path;
}

/** A database that Litestream is to replicate into a folder. */
export interface LitestreamDatabase {
  readonly databasePath: string;
  readonly replicaPath: string;
}

/** How Litestream is run; the intervals are short so that a test sees many segments and indexes. */
export interface LitestreamOptions {
  /** Where the configuration is written. */
  readonly configPath: string;
  readonly databases: readonly LitestreamDatabase[];
  /** Default 20. */
  readonly intervalMs?: number;
  /** WAL pages from which on it checkpoints. Default 40. */
  readonly checkpointPages?: number;
  /** More lines for each replica, such as `snapshot-interval: 100ms`. */
  readonly replicaLines?: readonly string[];
}

/** A running `litestream replicate`. */
export class Litestream implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  #log = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = once(child, "exit");
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text) => this.#log += text);
    }
  }

  /** Start to replicate. */
  static start(options: LitestreamOptions): Litestream {
    writeFileSync(options.configPath, configOf(options));
    const child = spawn(litestreamPath(), ["replicate", "-config", options.configPath], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    return new Litestream(child);
  }

  /** What it has printed so far. */
  get log(): string {
    return this.#log;
  }

  /** Ask it to stop and wait for its final sync and exit. */
  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGTERM");
    await this.#exited;
  }

  /** End it as a crash would. */
  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
    await this.#exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

function configOf(
  { databases, intervalMs = 20, checkpointPages = 40, replicaLines = [] }: LitestreamOptions,
) {
  const lines = ["dbs:"];
  for (const { databasePath, replicaPath } of databases) {
    lines.push(
      `  - path: ${JSON.stringify(databasePath)}`,
      `    monitor-interval: ${intervalMs}ms`,
      `    min-checkpoint-page-count: ${checkpointPages}`,
      `    replicas:`,
      `      - path: ${JSON.stringify(replicaPath)}`,
      `        sync-interval: ${intervalMs}ms`,
      ...replicaLines.map((line) => `        ${line}`),
    );
  }
  return lines.join("\n") + "\n";
}

/** `litestream restore` of a folder. @throws {Error} with what it printed when it fails */
export function litestreamRestore(
  { replicaPath, outputPath, args = [] }: { replicaPath: string; outputPath: string; args?: string[] },
): Promise<void> {
  return runRestore(["-o", outputPath, ...args, `file://${replicaPath}`]);
}

/** The same with a configuration, as age keys have no flag. @throws {Error} with what it printed when it fails */
export function litestreamRestoreConfigured(
  { outputPath, args = [], ...options }: LitestreamOptions & { outputPath: string; args?: string[] },
): Promise<void> {
  writeFileSync(options.configPath, configOf(options));
  const { databasePath } = options.databases[0]!;
  return runRestore(["-config", options.configPath, "-o", outputPath, ...args, databasePath]);
}

function runRestore(args: readonly string[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = spawn(litestreamPath(), ["restore", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => log += text);
  }
  child.on("error", reject);
  child.on("exit", (code) => {
    if (code === 0) resolve();
    else reject(new Error(`litestream restore failed with ${code}: ${log.trim()}`));
  });
  return promise;
}
