/**
 * Shows the main job on a folder of its own: `deno task demo` (or `bun demo.ts` after `deno install`).
 *
 * A database is replicated to a folder while another process writes to it, deleted, restored, and compared page by
 * page. With `--damage` one byte of the replica is changed first: the restore then has to refuse.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";

const ROWS = 2000;
const PAGE_SIZE = 4096;
const here = fileURLToPath(new URL(".", import.meta.url));
const isDeno = "Deno" in globalThis;

/** Start one of our own scripts on the runtime that runs this one. */
function start(script: string, ...args: string[]): ChildProcess {
  const words = isDeno ? ["run", "-A", join(here, script), ...args] : [join(here, script), ...args];
  return spawn(process.execPath, words, { stdio: ["ignore", "pipe", "pipe"] });
}

/** Wait for the end of a process; returns what it printed. Another exit code than 0 ends the demo. */
async function finish(child: ChildProcess, what: string): Promise<string> {
  let output = "";
  let errors = "";
  child.stdout?.on("data", (chunk) => output += chunk);
  child.stderr?.on("data", (chunk) => errors += chunk);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`${what} ended with exit code ${code}: ${errors.trim()}`);
  return output;
}

/** The writer's process: insert, then bring everything into the main file, keep a copy, print its hash. */
async function write(path: string, copyPath: string): Promise<void> {
  const database = new DatabaseSync(path, { timeout: 5000 });
  const insert = database.prepare("INSERT INTO visit (at, page) VALUES (?, ?)");
  for (let row = 0; row < ROWS; row++) {
    insert.run(new Date().toISOString(), `/page/${row % 97}`.padEnd(20 + row % 80, "x"));
    if (row % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 25));
  }
  for (;;) {
    const row = database.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() ?? {};
    const [busy, log, done] = Object.values(row);
    if (busy === 0 && log === done) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  database.close();
  copyFileSync(path, copyPath);
  process.stdout.write(hashOf(copyPath));
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name)).filter((path) => statSync(path).isFile()).sort();
}

async function untilThere(path: string, child: ChildProcess): Promise<void> {
  for (let count = 0; !existsSync(path) || filesBelow(path).length === 0; count++) {
    if (child.exitCode !== null || count > 600) throw new Error(`no replica came to be in ${path}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Flip one bit in the middle of the newest snapshot: whatever a restore does without, it needs that. */
function damage(objects: readonly string[]): void {
  const path = objects.filter((object) => object.endsWith(".snapshot.lz4")).sort().at(-1)!;
  const bytes = readFileSync(path);
  const at = bytes.length >> 1;
  bytes[at] = bytes[at]! ^ 1;
  writeFileSync(path, bytes);
  say(`damaged    byte ${at} of ${path}`);
}

function comparePages(left: string, right: string): number {
  const ours = readFileSync(left);
  const theirs = readFileSync(right);
  if (ours.length !== theirs.length) {
    throw new Error(`sizes differ: ${ours.length} and ${theirs.length} bytes`);
  }
  for (let at = 0; at < ours.length; at += PAGE_SIZE) {
    if (!ours.subarray(at, at + PAGE_SIZE).equals(theirs.subarray(at, at + PAGE_SIZE))) {
      throw new Error(`page ${at / PAGE_SIZE + 1} differs`);
    }
  }
  return ours.length / PAGE_SIZE;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function demo(folder: string, withDamage: boolean): Promise<void> {
  const path = join(folder, "app.db");
  const replica = join(folder, "replica");
  const reference = join(folder, "reference.db");
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${PAGE_SIZE}; PRAGMA journal_mode = wal;`);
  database.exec("CREATE TABLE visit (id INTEGER PRIMARY KEY, at TEXT, page TEXT)");
  database.close();
  say(`database   ${path}`);
  say(`runs       walbrook replicate ${path} ${replica}`);
  const replicating = start("main.ts", "replicate", path, replica);
  const replicated = finish(replicating, "walbrook replicate");
  replicated.catch(() => {});
  let hash: string;
  try {
    await untilThere(replica, replicating);
    say(`writes     another process inserts ${ROWS} rows, one transaction each`);
    hash = await finish(start("demo.ts", "--writer", path, reference), "the writer");
    say(`           SHA-256 of the final file ${hash}`);
  } finally {
    // Not replicating.kill(): Deno then reports a signal for a process that ended well.
    if (replicating.exitCode === null) process.kill(replicating.pid!, "SIGTERM");
    // It still writes into the folder until then, which goes when something has failed.
    await replicated.catch(() => {});
  }
  await replicated;
  const objects = filesBelow(replica);
  const bytes = objects.reduce((sum, object) => sum + statSync(object).size, 0);
  say(`replica    ${objects.length} objects, ${bytes} bytes in ${replica}`);
  if (withDamage) damage(objects);
  for (const ending of ["", "-wal", "-shm"]) rmSync(path + ending, { force: true });
  say(`deletes    ${path}, its -wal and its -shm`);
  say(`runs       walbrook restore -o ${path} ${replica}`);
  await finish(start("main.ts", "restore", "-o", path, replica), "walbrook restore");
  const pages = comparePages(path, reference);
  if (hashOf(path) !== hash) throw new Error("the hash differs");
  say(`restored   SHA-256 ${hashOf(path)}`);
  say(`compared   ${pages} pages of ${PAGE_SIZE} bytes: all equal`);
}

const [option, ...paths] = process.argv.slice(2);
if (option === "--writer") await write(paths[0]!, paths[1]!);
else {
  const folder = mkdtempSync(join(tmpdir(), "walbrook-demo-"));
  try {
    await demo(folder, option === "--damage");
  } catch (error) {
    process.stderr.write(`demo failed: ${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
