/** One round's database with everything around it: applications, walbrook, replicas, and what must hold of them. */
import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeAgeKey } from "../age.ts";
import { type FaultProxy, startFaultProxy } from "../servers/fault_proxy.ts";
import type { Fault as StoreFault, SeenRequest } from "../servers/fault_proxy.ts";
import type { S3Server } from "../servers/s3_servers.ts";
import { Applications } from "./applications.ts";
import { Chance } from "./chance.ts";
import { Follower } from "./follower.ts";
import type { Judge } from "./judge.ts";
import { type CommitRecord, comparePlaces, Ledger, type Place } from "./ledger.ts";
import { SoakReplica } from "./replicas.ts";
import type { Tally } from "./tally.ts";

/** What a round is made from. */
export interface SceneOptions {
  readonly seed: number;
  /** Of this round; everything goes in here. */
  readonly folder: string;
  readonly shimPath: string;
  readonly judge: Judge;
  readonly server: S3Server | undefined;
  readonly runtimes: readonly ("deno" | "bun")[];
  readonly tally: Tally;
  /** Commits a second. */
  readonly rate: number;
  /** How long things go wrong in the round. */
  readonly faultMs: number;
  /** The database on a small disk of its own. */
  readonly hasSmallDisk: boolean;
}

/** Answers a request to the store in its place. */
export type StoreFaultRule = (request: SeenRequest) => StoreFault | undefined;

const DISK_SIZE = "192m";

const ENLARGED_SIZE = "2g";

const PAGE_SIZES = [512, 1024, 4096, 4096, 8192, 65536];

/** On the small disk the largest WAL that is configured, and a copy of it, must have room, or nothing goes on. */
const SMALL_DISK_PAGE_SIZES = [512, 1024, 4096, 4096, 8192];

/** Everything of a round. */
export class Scene implements AsyncDisposable {
  readonly folder: string;
  readonly databasePath: string;
  readonly diskPath: string;
  readonly chance: Chance;
  readonly judge: Judge;
  readonly tally: Tally;
  readonly ledger: Ledger;
  readonly applications: Applications;
  readonly follower: Follower;
  readonly replicas: readonly SoakReplica[];
  readonly retentionMs: number;
  readonly #options: SceneOptions;
  readonly #proxy: FaultProxy | undefined;
  readonly #storeFaults = new Set<StoreFaultRule>();
  /** What each replica had, at least. */
  readonly #floors = new Map<SoakReplica, Place>();
  /** Seen in restores whose end nobody had reported then; they have to turn out to be commits. */
  readonly restoredIds: Set<string> = new Set();
  epoch = 1;
  /** The clock of walbrook was moved: times in the replica are no longer those of the applications. */
  hasMovedClock = false;
  /** Whether Litestream has written into a replica. */
  hasForeignObjects = false;
  /** What is out of order now, as walbrook may then end by itself. */
  readonly active: Set<string> = new Set();
  #lastFaultMs = 0;

  private constructor(options: SceneOptions, proxy: FaultProxy | undefined) {
    const { folder, seed, shimPath, judge, tally, rate, runtimes } = options;
    this.#options = options;
    this.#proxy = proxy;
    this.folder = folder;
    this.chance = new Chance(seed);
    this.judge = judge;
    this.tally = tally;
    this.diskPath = join(folder, "disk");
    this.databasePath = join(this.diskPath, "app.db");
    this.retentionMs = Math.round(this.chance.between([6000, 15_000]));
    const ledgerPath = join(folder, "ledger");
    this.ledger = new Ledger(ledgerPath);
    const { databasePath, chance } = this;
    this.applications = new Applications({ databasePath, ledgerPath, folder, shimPath, chance, rate });
    this.replicas = this.#makeReplicas();
    this.follower = new Follower({
      configPath: join(folder, "walbrook.yml"),
      logPath: join(folder, "walbrook.log"),
      controlPath: join(folder, "shim-walbrook"),
      shimPath,
      runtimes,
      chance,
      onExit: (code) => this.#noteExit(code),
    });
    if (proxy !== undefined) proxy.fault = (request) => this.#storeFault(request);
  }

  /** Make folder, database and configuration; nothing runs yet. */
  static async open(options: SceneOptions): Promise<Scene> {
    mkdirSync(join(options.folder, "disk"), { recursive: true });
    const { server } = options;
    const proxy = server && await startFaultProxy({ upstreamPort: server.port });
    const scene = new Scene(options, proxy);
    if (options.hasSmallDisk) mount(scene.diskPath);
    await scene.applications.initialize({ epoch: scene.epoch, pageSize: scene.pickPageSize() });
    writeFileSync(join(options.folder, "walbrook.yml"), JSON.stringify(scene.#configuration(), null, 2));
    return scene;
  }

  /** For a database that is made. */
  pickPageSize(): number {
    return this.chance.pick(this.#options.hasSmallDisk ? SMALL_DISK_PAGE_SIZES : PAGE_SIZES);
  }

  #makeReplicas(): SoakReplica[] {
    const { server, folder, seed } = this.#options;
    const sealed = this.chance.below(3);
    const optionsOf = (at: number) => ({
      age: at === sealed ? makeAgeKey() : undefined,
      syncIntervalMs: Math.round(this.chance.between([20, 600])),
    });
    const file = new SoakReplica({ type: "file", path: join(folder, "replica") }, optionsOf(0));
    if (server === undefined) return [file];
    const place = { path: `soak/${seed}-${Date.now()}`, server, proxyEndpoint: this.#proxy!.endpoint };
    return [file, new SoakReplica({ type: "s3", ...place }, optionsOf(1))];
  }

  #configuration(): object {
    const { chance, retentionMs } = this;
    const ms = (range: readonly [number, number]) => `${Math.round(chance.between(range))}ms`;
    const replicas = this.replicas.map((replica) => ({
      ...replica.settings({ isDirect: false }),
      "sync-interval": `${replica.syncIntervalMs}ms`,
      "snapshot-interval": ms([1500, 5000]),
      "retention": `${retentionMs}ms`,
      "retention-check-interval": ms([500, 2500]),
    }));
    const database = {
      "path": this.databasePath,
      "monitor-interval": ms([50, 500]),
      "min-checkpoint-page-count": Math.round(chance.between([30, 500])),
      "max-checkpoint-page-count": Math.round(chance.between([600, 3000])),
      replicas,
    };
    return { logging: { stderr: true, level: "info" }, dbs: [database] };
  }

  /** Let `rule` answer requests to the store; disposing ends that. */
  breakStore(rule: StoreFaultRule): Disposable {
    this.#storeFaults.add(rule);
    return { [Symbol.dispose]: () => void this.#storeFaults.delete(rule) };
  }

  get hasStore(): boolean {
    return this.#proxy !== undefined;
  }

  #storeFault(request: SeenRequest): StoreFault | undefined {
    // Only bodies' sizes are kept: a round makes thousands of requests.
    this.#proxy!.seen.length = 0;
    for (const rule of this.#storeFaults) {
      const fault = rule(request);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  #noteExit(code: number): void {
    const last =
      this.follower.log().findLast((line) => line.includes("ERROR") || line.includes("level=error")) ??
        this.follower.log().findLast((line) => line !== "") ?? "without a word";
    const reason = last.replace(/^.*?(msg=|: )/, "").replaceAll(this.folder, "").slice(0, 160);
    this.tally.exits.add(`(${code}) ${reason}`);
    const isCalm = this.active.size === 0 && performance.now() - this.#lastFaultMs > 5000;
    if (isCalm) this.problem(`walbrook ended by itself with ${code}: ${last}`);
  }

  /** Run a fault under its name. */
  async during(name: string, act: () => Promise<void>): Promise<void> {
    this.active.add(name);
    this.#note(`${name} begins`);
    try {
      await act();
    } finally {
      this.active.delete(name);
      this.#note(`${name} ends`);
      this.#lastFaultMs = performance.now();
    }
  }

  #note(text: string): void {
    appendFileSync(join(this.folder, "faults.log"), `${new Date().toISOString()} ${text}\n`);
  }

  problem(text: string): void {
    this.tally.problems.push(`${this.folder}: ${text}`);
    console.log(`PROBLEM ${this.folder}: ${text}`);
  }

  /**
   * What an operator does about a full disk. A WAL that grew while walbrook could not copy it needs as much again
   * before it can begin anew, and on a full disk neither gets on.
   */
  makeRoom(): void {
    if (this.#options.hasSmallDisk) enlarge(this.diskPath);
  }

  /** The longest that a single fault may last. */
  get longestMs(): number {
    return Math.max(4000, this.#options.faultMs * 2 / 3);
  }

  /** From now on the replica must hold at least this. */
  raiseFloor(replica: SoakReplica, place: Place): void {
    const floor = this.#floors.get(replica);
    if (floor === undefined || comparePlaces(place, floor) > 0) this.#floors.set(replica, place);
  }

  /** What a replica is known to have held. */
  floorOf(replica: SoakReplica): Place | undefined {
    return this.#floors.get(replica);
  }

  /** The newest acknowledged commit as of now. */
  newestCommit(): CommitRecord | undefined {
    this.ledger.read();
    return this.ledger.newest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.applications.stop({ isAbrupt: true });
    await this.follower[Symbol.asyncDispose]();
    for (const replica of this.replicas) await replica[Symbol.asyncDispose]();
    await this.#proxy?.stop();
    if (!this.#options.hasSmallDisk) return;
    cpSync(this.diskPath, `${this.folder}/disk-kept`, { recursive: true });
    // Lazily: the judge may have a file open there.
    spawnSync("umount", ["--lazy", this.diskPath]);
  }
}

/** Make the small disk a large one. */
function enlarge(path: string): void {
  const { status, stderr } = spawnSync("mount", ["-o", `remount,size=${ENLARGED_SIZE}`, path], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`cannot make room on the small disk: ${stderr}`);
}

/** Whether a small disk can be had here: it takes a mount. */
export function canMount(folder: string): boolean {
  const path = join(folder, "mount-test");
  mkdirSync(path);
  const isMounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "none", path]).status === 0;
  if (isMounted) spawnSync("umount", [path]);
  rmSync(path, { recursive: true });
  return isMounted;
}

function mount(path: string): void {
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_SIZE}`, "none", path], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`cannot mount a small disk: ${stderr}`);
}
