/** The applications of a database: writers, readers and checkpointers, each a process with another SQLite than ours. */
import { fileURLToPath } from "node:url";
import type { Chance } from "./chance.ts";
import { Child } from "./child.ts";
import { ShimControl } from "./shim.ts";

/** What they are told. */
export interface ApplicationsOptions {
  readonly databasePath: string;
  readonly ledgerPath: string;
  /** For logs and shim controls. */
  readonly folder: string;
  readonly shimPath: string;
  readonly chance: Chance;
  /** Commits a second of all writers together. */
  readonly rate: number;
}

interface Running {
  readonly kind: "writer" | "reader" | "checkpointer";
  readonly child: Child;
  readonly shim: ShimControl | undefined;
}

const script = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** What writers differ in. */
const WRITERS = [
  { autocheckpoint: 1000, isFresh: false, vacuums: true },
  { autocheckpoint: 0, isFresh: false },
  { autocheckpoint: 100, isFresh: true, synchronous: "NORMAL" },
  { autocheckpoint: 20, isFresh: false, spills: true },
] as const;

/** All that work on one database. */
export class Applications {
  readonly #options: ApplicationsOptions;
  #running: Running[] = [];
  #isHeld = true;
  #startCount = 0;

  constructor(options: ApplicationsOptions) {
    this.#options = options;
  }

  /** Make the database. Nobody may hold it. */
  async initialize({ epoch, pageSize }: { epoch: number; pageSize: number }): Promise<void> {
    const autoVacuum = this.#options.chance.pick([0, 0, 1, 2]);
    await this.#runOnce("init", { epoch, pageSize, autoVacuum });
  }

  /** Begin another epoch in the file at `path`, which has no -wal afterwards. */
  async adopt(path: string, { epoch }: { epoch: number }): Promise<void> {
    await this.#runOnce("adopt", { epoch }, path);
  }

  async #runOnce(what: string, settings: object, path = this.#options.databasePath): Promise<void> {
    const { ledgerPath, folder } = this.#options;
    const words = [what, path, JSON.stringify({ ledger: ledgerPath, ...settings })];
    const child = new Child(["python3", script("app.py"), ...words], {
      logPath: `${folder}/applications.log`,
    });
    const code = await child.ended;
    if (code !== 0) throw new Error(`the application can't ${what} ${path}, see applications.log`);
  }

  /** Let all of them work. */
  start(): void {
    this.#isHeld = false;
    const { chance } = this.#options;
    const writers = WRITERS.filter(() => chance.happens(0.6));
    if (writers.length === 0) writers.push(WRITERS[1]);
    for (const writer of writers) this.#startWriter(writer, this.#options.rate / writers.length);
    if (chance.happens(0.7)) this.#startOther("reader", ["python3", script("app.py"), "read"]);
    if (chance.happens(0.7)) {
      this.#startOther("checkpointer", ["python3"], chance.pick(["python", "sqlite3"]));
    }
  }

  /** One that gets on with Litestream, which loses commits when others checkpoint. */
  startGently(): void {
    this.#isHeld = false;
    this.#startWriter({ autocheckpoint: 0, isFresh: false }, Math.min(this.#options.rate, 100));
  }

  #startWriter(settings: Readonly<Record<string, unknown>>, rate: number): void {
    const { databasePath, ledgerPath, folder, shimPath, chance } = this.#options;
    const name = `w${++this.#startCount}`;
    const seed = chance.below(2 ** 30);
    const shim = new ShimControl(`${folder}/shim-${name}`, { libraryPath: shimPath });
    const told = { ...settings, ledger: ledgerPath, name, seed, rate };
    const words = ["python3", script("app.py"), "write", databasePath, JSON.stringify(told)] as const;
    const child = new Child(words, { logPath: `${folder}/applications.log`, env: shim.environment });
    this.#keep({ kind: "writer", child, shim }, () => this.#startWriter(settings, rate));
  }

  #startOther(kind: "reader" | "checkpointer", [program, ...rest]: [string, ...string[]], by = ""): void {
    const { databasePath, folder, chance } = this.#options;
    const seed = chance.below(2 ** 30);
    const words = kind === "reader"
      ? [...rest, databasePath, JSON.stringify({ seed })]
      : [script("../database/hostile_checkpointer.py"), databasePath, String(seed), "3600", by];
    const child = new Child([program, ...words], { logPath: `${folder}/applications.log` });
    this.#keep({ kind, child, shim: undefined }, () => this.#startOther(kind, [program, ...rest], by));
  }

  /** One that ends while it should work is started again, as by a supervisor. */
  #keep(running: Running, again: () => void): void {
    this.#running.push(running);
    void running.child.ended.then(() => {
      running.shim?.[Symbol.dispose]();
      this.#running = this.#running.filter((other) => other !== running);
      if (!this.#isHeld) again();
    });
  }

  get #writers(): Running[] {
    return this.#running.filter(({ kind }) => kind === "writer");
  }

  /** SIGKILL one of any kind; it comes back. */
  killOne(): void {
    if (this.#running.length > 0) this.#options.chance.pick(this.#running).child.signal("SIGKILL");
  }

  /** SIGKILL all; they come back. */
  killAll(): void {
    for (const { child } of this.#running) child.signal("SIGKILL");
  }

  /** SIGKILL a writer at a system call not far ahead; it comes back. */
  killAtCall(call: Parameters<ShimControl["dieAt"]>[0], count: number): void {
    const writers = this.#writers;
    if (writers.length > 0) this.#options.chance.pick(writers).shim?.dieAt(call, count);
  }

  /** SIGSTOP a writer; gives what wakes it. */
  freezeOne(): () => void {
    const writers = this.#writers;
    if (writers.length === 0) return () => {};
    const { child } = this.#options.chance.pick(writers);
    child.signal("SIGSTOP");
    return () => child.signal("SIGCONT");
  }

  /** End all: writers after their transaction, or by SIGKILL. */
  async stop({ isAbrupt = false }: { isAbrupt?: boolean } = {}): Promise<void> {
    this.#isHeld = true;
    await Promise.all(this.#running.map(({ kind, child }) => {
      child.signal("SIGCONT");
      return kind === "writer" && !isAbrupt ? child.stop(15_000) : child.kill();
    }));
  }
}
