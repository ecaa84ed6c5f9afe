/** One database with all its replicas. */
import { ReplicaLoop, type ReplicaOptions } from "./replica_loop.ts";
import type { LiveDatabase } from "../database/database.ts";
import { describeError } from "../errors.ts";

/** What a replicator keeps together. */
export interface ReplicatorOptions {
  readonly database: LiveDatabase;
  /** One entry a replica. */
  readonly replicas: readonly Omit<ReplicaOptions, "database" | "onProgress">[];
}

/** Follows one database and keeps its replicas up to date. */
export class Replicator {
  readonly database: LiveDatabase;
  readonly replicas: readonly ReplicaLoop[];

  constructor({ database, replicas }: ReplicatorOptions) {
    this.database = database;
    this.replicas = replicas.map((replica) =>
      new ReplicaLoop({ ...replica, database, onProgress: () => this.#release() })
    );
  }

  /** @throws {Error} when the database can't be taken up and waiting can't help */
  async start(): Promise<void> {
    await this.database.start();
    for (const replica of this.replicas) replica.start();
  }

  /** Drop shadow files that the slowest replica is past. */
  #release(): void {
    const generation = this.database.position?.generation;
    if (generation === undefined) return;
    const positions = this.replicas.map((replica) => replica.position);
    const indexes = positions.map((position) => position?.generation === generation ? position.index : 0);
    this.database.releaseBefore(generation, Math.min(...indexes));
  }

  /**
   * Copy and upload what is left, then let the database go; `signal` bounds the tries.
   *
   * @throws {Error} that names each replica that stayed behind, and why
   */
  async finish({ signal }: { signal: AbortSignal }): Promise<void> {
    await this.database.settle();
    const results = await Promise.allSettled(this.replicas.map((replica) => replica.finish({ signal })));
    await this.database.close();
    const failures = results.flatMap((result, at) =>
      result.status === "rejected"
        ? [`${this.replicas[at]!.client.name}: ${describeError(result.reason)}`]
        : []
    );
    if (failures.length > 0) {
      throw new Error(`${this.database.path}: the last commits are not in ${failures.join("; ")}`);
    }
  }
}
