/** packaging/Dockerfile and compose.yaml, as far as a machine without a container engine can try them. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, chmodSync, chownSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { parse } from "yaml";
import { parseReplicateArguments } from "../../src/cli/replicate.ts";
import { restoreCommand } from "../../src/cli/restore.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { until } from "../doubles/until.ts";
import { Walbrook } from "../walbrook.ts";
import { executable, release, root, targets } from "./release.ts";

interface Instruction {
  readonly word: string;
  readonly rest: string;
}

/** The instructions of each stage. */
function stages(): Instruction[][] {
  const text = readFileSync(join(root, "packaging/Dockerfile"), "utf8").replace(/^#.*\n/gm, "")
    .replaceAll("\\\n", "");
  const found: Instruction[][] = [];
  for (const line of text.split("\n").filter((line) => line !== "")) {
    const [, word, rest] = /^(\w+) +(.*)$/.exec(line)!;
    if (word === "FROM") found.push([]);
    found.at(-1)!.push({ word: word!, rest: rest! });
  }
  return found;
}

function valueOf(stage: readonly Instruction[], word: string): string {
  return stage.findLast((instruction) => instruction.word === word)?.rest ?? "";
}

test("Dockerfile takes the released executable after a look at its SHA-256", () => {
  const script = valueOf(stages()[0]!, "RUN");
  const cpu = process.arch === "arm64" ? "arm64" : "amd64";
  const name = `walbrook-${targets.own}.tar.gz`;
  using folder = temporaryFolder();
  for (const file of [name, `${name}.sha256`]) copyFileSync(join(release(), file), join(folder.path, file));
  const run = (TARGETARCH: string) =>
    spawnSync("dash", ["-c", script], {
      cwd: folder.path,
      env: { PATH: process.env["PATH"], TARGETARCH },
      encoding: "utf8",
    });
  const good = run(cpu);
  assert.equal(good.status, 0, good.stderr);
  assert.match(good.stdout, /OK\nv\d/);
  assert.equal(run("riscv64").stderr, "no walbrook for riscv64\n");
  appendFileSync(join(folder.path, name), "x");
  const bad = run(cpu);
  assert.notEqual(bad.status, 0);
  assert.doesNotMatch(bad.stdout, /\nv\d/);
});

/** A container's start without a container: PID 1 is the entry point, as the image's user, in a PID namespace. */
class Container implements AsyncDisposable {
  readonly #folder = temporaryFolder();
  readonly #database = new DatabaseSync(this.path("app.db"));
  #walbrook: Walbrook | undefined;
  #firstPid: number | undefined;

  path(name: string): string {
    return join(this.#folder.path, name);
  }

  /** Start `replicate` with `words` before the database and its replica; waits for the first snapshot. */
  async start(...words: readonly string[]): Promise<Walbrook> {
    assert.equal(process.getuid?.(), 0, "this test makes a PID namespace: run the tests as root");
    const stage = stages()[1]!;
    const [user, group] = valueOf(stage, "USER").split(":").map(Number);
    assert.ok(user! > 0 && group! > 0);
    const [init, dashes, program] = JSON.parse(valueOf(stage, "ENTRYPOINT")) as string[];
    assert.deepEqual([init, dashes, program], ["/usr/bin/tini", "--", "/usr/local/bin/walbrook"]);
    copyFileSync(executable(), this.path("walbrook"));
    chmodSync(this.path("walbrook"), 0o755);
    this.#database.exec("PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES ('one')");
    for (const name of ["", "app.db", "app.db-wal", "app.db-shm"]) chownSync(this.path(name), user!, group!);
    const space = ["unshare", "--pid", "--fork", "--mount-proc"] as const;
    const asUser = ["setpriv", "--reuid", `${user}`, "--regid", `${group}`, "--clear-groups"];
    const walbrook = Walbrook.startAs(
      { command: [...space, ...asUser, init!, dashes!, this.path("walbrook")], options: {} },
      ...["replicate", ...words, this.path("app.db"), this.path("replica")],
    );
    this.#walbrook = walbrook;
    await walbrook.says("snapshot written");
    this.#firstPid = childrenOf(walbrook.pid)[0]!;
    assert.equal(readFileSync(`/proc/${this.#firstPid}/comm`, "utf8"), "tini\n");
    return walbrook;
  }

  /** PID 1, by its number outside. */
  get firstPid(): number {
    return this.#firstPid!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The kernel takes everything else of the namespace along.
    if (this.#firstPid !== undefined) killIfThere(this.#firstPid);
    await this.#walbrook?.[Symbol.asyncDispose]();
    this.#database.close();
    this.#folder[Symbol.dispose]();
  }
}

test("Dockerfile's ENTRYPOINT as PID 1 and as its USER replicates, reaps orphans and ends cleanly at SIGTERM", async () => {
  await using container = new Container();
  const walbrook = await container.start();
  const { firstPid } = container;
  assert.equal(childrenOf(firstPid).length, 1);
  // Its shell is gone at once: PID 1 inherits it.
  const entering = ["--target", `${firstPid}`, "--pid", "--mount"];
  execFileSync("nsenter", [...entering, "sh", "-c", "sleep 1 >/dev/null 2>&1 &"]);
  assert.equal(childrenOf(firstPid).length, 2, "the orphan of a moment ago");
  await until(() => childrenOf(firstPid).length === 1, "the orphan to be reaped");

  process.kill(firstPid, "SIGTERM");
  const { code, stderr } = await walbrook.ended;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /walbrook shut down\n$/);
});

test("Dockerfile's ENTRYPOINT with -exec reaps what the application leaves, hands it SIGTERM and ends with its code", async () => {
  await using container = new Container();
  const application = container.path("application");
  // It leaves an orphan at SIGUSR1, and takes its leave at SIGTERM.
  const lines = [
    "#!/bin/sh",
    "trap 'sh -c \"sleep 1 >/dev/null 2>&1 &\"; echo left >&2' USR1",
    "trap 'echo leaving >&2; exit 7' TERM",
    "echo ready >&2",
    "while :; do sleep 0.05; done",
  ];
  writeFileSync(application, lines.join("\n"), { mode: 0o755 });
  const walbrook = await container.start("-exec", application);
  await walbrook.says("ready");
  const { firstPid } = container;
  process.kill(childrenOf(childrenOf(firstPid)[0]!)[0]!, "SIGUSR1");
  await walbrook.says("left");
  assert.equal(childrenOf(firstPid).length, 2, "the orphan of a moment ago");
  await until(() => childrenOf(firstPid).length === 1, "the orphan to be reaped");

  process.kill(firstPid, "SIGTERM");
  const { code, stderr } = await walbrook.ended;
  assert.equal(code, 7, stderr);
  assert.match(stderr, /^leaving$/m);
});

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(
    Number,
  );
}

interface Service {
  readonly image: string;
  readonly command: readonly string[];
  readonly volumes: readonly string[];
  readonly user?: string;
}

test("compose.yaml: commands that walbrook understands, one volume for the database, one user", async () => {
  const { services, volumes } = parse(readFileSync(join(root, "packaging/compose.yaml"), "utf8")) as {
    services: Record<"restore" | "app" | "walbrook", Service>;
    volumes: Record<string, unknown>;
  };
  const { restore, app, walbrook } = services;
  for (const service of [restore, app, walbrook]) {
    assert.ok(service.volumes.includes("data:/data"));
    for (const volume of service.volumes) assert.ok(volume.split(":")[0]! in volumes, volume);
  }
  assert.equal(app.user, valueOf(stages()[1]!, "USER"));
  const [replicate, ...replicateWords] = walbrook.command;
  assert.equal(replicate, "replicate");
  const request = parseReplicateArguments(replicateWords);
  assert.equal(request.database?.path, "/data/app.db");
  // The same words, in a folder of ours: there is no replica yet, and nothing is what it does.
  using folder = temporaryFolder();
  const [restoreName, ...restoreWords] = restore.command;
  assert.equal(restoreName, "restore");
  const words = restoreWords.map((word) => word.replace(/^\/(data|backup)/, folder.path));
  const output = { writeOutput() {}, writeError() {} };
  assert.equal(await restoreCommand.run(words, output), 0);
});
