/** Another process (Python with its own SQLite) that has the database open: what locks do, they do between processes. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

interface Answer {
  readonly rows?: readonly (readonly (string | number)[])[];
  readonly ms?: number;
  readonly sha256?: string;
  readonly size?: number;
  readonly error?: string;
}

/** The row of a checkpoint and how long it took. */
export interface NeighbourCheckpoint {
  readonly isBusy: boolean;
  readonly frameCount: number;
  readonly backfilledCount: number;
  readonly ms: number;
}

/** One such process. Calls are carried out one after the other. */
export class Neighbour implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting: ((answer: Answer) => void)[] = [];
  readonly #ended: Promise<void>;

  constructor(readonly path: string) {
    const script = fileURLToPath(new URL("./neighbour.py", import.meta.url));
    this.#child = spawn("python3", [script], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      this.#waiting.shift()?.(JSON.parse(line) as Answer);
    });
    this.#ended = new Promise((resolve) => this.#child.on("close", () => resolve()));
  }

  async #call(request: object): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.push(resolve);
    this.#child.stdin!.write(JSON.stringify({ path: this.path, ...request }) + "\n");
    const answer = await promise;
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer;
  }

  /** Run one statement on the connection called `name`, which is opened when it isn't yet. */
  async sql(sql: string, name = "main"): Promise<readonly (readonly (string | number)[])[]> {
    return (await this.#call({ do: "sql", sql, name })).rows!;
  }

  /** Run one statement so many times, each in a transaction of its own, as fast as it goes. */
  async repeat(sql: string, { count, name = "main" }: { count: number; name?: string }): Promise<void> {
    await this.#call({ do: "repeat", sql, count, name });
  }

  async checkpoint(mode: string, name = "main"): Promise<NeighbourCheckpoint> {
    const { rows, ms } = await this.#call({ do: "sql", sql: `PRAGMA wal_checkpoint(${mode})`, name });
    const [busy, frameCount, backfilledCount] = rows![0]!.map(Number);
    return { isBusy: busy !== 0, frameCount: frameCount!, backfilledCount: backfilledCount!, ms: ms! };
  }

  /** Close the connection called `name`. */
  async closeConnection(name = "main"): Promise<void> {
    await this.#call({ do: "close", name });
  }

  /** SHA-256 and size of the database file. */
  async hash(): Promise<{ sha256: string; size: number }> {
    const { sha256, size } = await this.#call({ do: "hash" });
    return { sha256: sha256!, size: size! };
  }

  /** SIGKILL, and wait for the end. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  /** Let it end by itself: its connections are not closed, as in a process that exits. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin!.end();
    await this.#ended;
  }
}
