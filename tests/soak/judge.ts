/** The process that looks into database files: another SQLite, and nobody's locks. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Content, Place } from "./ledger.ts";

type Answer = Partial<Content> & { readonly problem?: string; readonly busy?: number };

/** Half a second apart. */
const ROOM_TRIES = 40;

/** Calls are carried out one after the other. */
export class Judge implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting: ((answer: Answer) => void)[] = [];
  readonly #ended: Promise<void>;

  constructor() {
    const script = fileURLToPath(new URL("./judge.py", import.meta.url));
    this.#child = spawn("python3", [script], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      // Numbers beyond 2^53 stay text.
      const text = line.replace(/"(total|schema)": (\d+)/g, '"$1": "$2"');
      this.#waiting.shift()?.(JSON.parse(text) as Answer);
    });
    this.#ended = new Promise((resolve) => this.#child.on("close", () => resolve()));
  }

  async #call(request: object): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#waiting.push(resolve);
    this.#child.stdin!.write(JSON.stringify(request) + "\n");
    return await promise;
  }

  /** What a restored file holds; `problem` when it isn't whole. */
  async content(path: string): Promise<Content | { readonly problem: string }> {
    return await this.#call({ do: "content", path }) as Content | { problem: string };
  }

  /** Which commit the live database is at. @throws {Error} when it can't be read */
  async live(path: string): Promise<Place> {
    return (await this.#askUntilRoom({ do: "live", path })) as Place;
  }

  /** Bring everything into the main file. */
  async truncate(path: string): Promise<void> {
    const { busy } = await this.#askUntilRoom({ do: "truncate", path });
    if (busy !== 0) throw new Error(`${path}: its WAL can't be emptied, somebody holds it`);
  }

  /** Copy a live database. */
  async backup(path: string, { to }: { to: string }): Promise<void> {
    await this.#ask({ do: "backup", path, to });
  }

  /** On a disk that is full for a moment SQLite can't make its wal-index. */
  async #askUntilRoom(request: object): Promise<Answer> {
    for (let tries = 1;; tries++) {
      try {
        return await this.#ask(request);
      } catch (error) {
        if (tries === ROOM_TRIES || !/disk is full|disk I\/O error/.test(String(error))) throw error;
        await delay(500);
      }
    }
  }

  async #ask(request: object): Promise<Answer> {
    const answer = await this.#call(request);
    if (answer.problem !== undefined) throw new Error(answer.problem);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin!.end();
    await this.#ended;
  }
}
