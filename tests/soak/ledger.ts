/** What the applications recorded outside of the database, and what it says of a restored file. */
import { closeSync, existsSync, openSync, readSync } from "node:fs";

/** One commit as it was announced before it was made. */
export interface CommitRecord {
  readonly epoch: number;
  readonly seq: number;
  readonly id: string;
  readonly parent: string;
  /** Sum of the hashes of all rows. */
  readonly total: string;
  readonly schema: string;
  /** When it was announced, milliseconds since 1970. */
  readonly at: number;
  isAcknowledged: boolean;
}

/** What a restored database says of itself, once its rows were found to be those that it says. */
export interface Content {
  readonly epoch: number;
  readonly seq: number;
  readonly id: string;
  readonly total: number | string;
  readonly schema: number | string;
}

/** A place in the history; epochs begin when another file is put in place. */
export type Place = Pick<CommitRecord, "epoch" | "seq" | "id">;

/** Which of two places is later. */
export function comparePlaces(left: Place, right: Place): number {
  return left.epoch - right.epoch || left.seq - right.seq;
}

/** Grows with the file. */
export class Ledger {
  readonly #path: string;
  #offset = 0;
  #rest = "";
  readonly #records = new Map<string, CommitRecord>();
  /** Of which it is known that a later transaction found them in the database. */
  readonly #seen = new Set<string>();
  #newest: CommitRecord | undefined;
  /** What applications found strange, without what hardware and neighbours do to them. */
  readonly complaints: string[] = [];
  acknowledgedCount = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Take in what was written since the last time. */
  read(): void {
    if (!existsSync(this.#path)) return;
    const file = openSync(this.#path, "r");
    const buffer = new Uint8Array(1 << 20);
    try {
      for (;;) {
        const count = readSync(file, buffer, 0, buffer.length, this.#offset);
        if (count === 0) return;
        this.#offset += count;
        const lines = (this.#rest + new TextDecoder().decode(buffer.subarray(0, count))).split("\n");
        this.#rest = lines.pop()!;
        for (const line of lines) this.#take(line.split(" "));
      }
    } finally {
      closeSync(file);
    }
  }

  #take([kind, ...words]: string[]): void {
    if (kind === "E") return void this.complaints.push(words.join(" "));
    if (kind === "A") {
      const record = this.#records.get(words[0]!);
      if (record === undefined) {
        throw new Error(`the ledger acknowledges ${words[0]}, which it never announced`);
      }
      record.isAcknowledged = true;
      this.acknowledgedCount++;
      if (this.#newest === undefined || comparePlaces(record, this.#newest) > 0) this.#newest = record;
      return;
    }
    const [epoch, seq, id, parent, total, schema, at] = words as [string, ...string[]] & string[];
    this.#seen.add(parent!);
    this.#records.set(id!, {
      epoch: Number(epoch),
      seq: Number(seq),
      id: id!,
      parent: parent!,
      total: total!,
      schema: schema!,
      at: Number(at),
      isAcknowledged: false,
    });
  }

  /** The newest commit whose COMMIT came back. */
  get newest(): CommitRecord | undefined {
    return this.#newest;
  }

  /** The database was found to be at this commit. */
  see(id: string): void {
    this.#seen.add(id);
  }

  recordOf(id: string): CommitRecord | undefined {
    return this.#records.get(id);
  }

  /** Whether a commit that was announced, and whose end nobody saw, has never been found in the database. */
  isPhantom(id: string): boolean {
    const record = this.#records.get(id);
    return record !== undefined && !record.isAcknowledged && !this.#seen.has(id);
  }

  /** What is wrong with a restored state; `undefined` when it is that of a commit. */
  objection(content: Content): string | undefined {
    const record = this.#records.get(content.id);
    if (record === undefined) return `commit ${content.id} was never made`;
    const says = `${content.epoch} ${content.seq} ${content.total} ${content.schema}`;
    const was = `${record.epoch} ${record.seq} ${record.total} ${record.schema}`;
    return says === was ? undefined : `commit ${content.id} was "${was}", restored is "${says}"`;
  }
}
