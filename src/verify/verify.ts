/** A replica that proves itself, without the database. */
import { NoBackupsError } from "../errors.ts";
import { type Inventory, listGeneration } from "../restore/inventory.ts";
import { momentsOf } from "../restore/moments.ts";
import { type Files, systemFiles } from "../runtime/files.ts";
import { makeTemporaryFolder } from "../runtime/temporary_folder.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import { ListingChangedError, verifyGeneration } from "./generation.ts";
import { findLeftovers } from "./leftovers.ts";
import { type MomentRange, withinRange } from "./range.ts";
import { type GenerationReport, isUnchecked, type VerifyReport } from "./report.ts";
import { judgeSnapshotless } from "./snapshotless.ts";

/** What to verify and how. */
export interface VerifyOptions extends MomentRange {
  /** Default: all that there are. */
  readonly generation?: string | undefined;
  /** Restore everything as well, compare snapshots with each other and have SQLite check the result. */
  readonly isDeep?: boolean | undefined;
  /** An existing folder with room for the database. Default: the system's for temporary files. */
  readonly temporaryPath?: string | undefined;
  /** Requests at once. Default 8. */
  readonly parallelism?: number | undefined;
  readonly files?: Files | undefined;
  /** Called as objects come in; stored bytes. */
  readonly progress?: ((progress: { doneBytes: number; totalBytes: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How often a generation is begun anew because objects went away meanwhile. */
const TRIES = 4;

/**
 * Read a replica and prove what can be proven of it.
 *
 * @throws {NoBackupsError} when there is nothing to look at; {EncryptionError} when the keys fit nothing; {Error} when
 * the store fails: all of that says nothing about the replica
 */
export async function verifyReplica(
  client: ReplicaClient,
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const { signal, isDeep = false } = options;
  const names = await client.generations({ signal });
  const wanted = names.filter((name) => options.generation === undefined || name === options.generation);
  const inventories: Inventory[] = [];
  for (const name of wanted) {
    const inventory = await listedWithin(client, name, options);
    if (inventory !== undefined) inventories.push(inventory);
  }
  if (inventories.length === 0) throw nothingThere();
  const progress = progressOf(inventories, options.progress);
  const generations: GenerationReport[] = [];
  for (const inventory of inventories) {
    const report = await verifyOne(client, { inventory, options, onBytes: progress });
    if (report !== undefined) generations.push(report);
  }
  // All were deleted meanwhile: what nobody looked at isn't proven.
  if (generations.length === 0) throw nothingThere();
  return {
    replica: client.name,
    place: client.store.place,
    isDeep,
    isProven: isProven(generations),
    generations,
    findings: await findLeftovers(client, { signal }),
  };
}

function isProven(generations: readonly GenerationReport[]): boolean {
  return generations.every((report) => report.damages.length === 0 && !isUnchecked(report)) &&
    // What leftovers alone show is nothing.
    generations.some(({ snapshotCount }) => snapshotCount > 0);
}

function nothingThere(): NoBackupsError {
  return new NoBackupsError("no matching backups found");
}

async function listedWithin(
  client: ReplicaClient,
  name: string,
  options: VerifyOptions,
): Promise<Inventory | undefined> {
  const { signal } = options;
  const inventory = await listGeneration(client, name, { signal });
  if (inventory.snapshots.length + inventory.segments.length === 0) return undefined;
  if (options.from === undefined && options.to === undefined) return inventory;
  return await withinRange(inventory, options, momentsOf(client, { signal }));
}

/** @returns `undefined` when retention took the whole generation meanwhile */
async function verifyOne(
  client: ReplicaClient,
  { inventory, options, onBytes }: {
    inventory: Inventory;
    options: VerifyOptions;
    onBytes: (count: number) => void;
  },
): Promise<GenerationReport | undefined> {
  const { isDeep, parallelism = 8, files = systemFiles, signal } = options;
  let listed: Inventory | undefined = inventory;
  for (let tries = 1; listed !== undefined; tries++) {
    await using folder = isDeep === true
      ? await makeTemporaryFolder(files, { purpose: "verify", parent: options.temporaryPath })
      : undefined;
    const deep = folder && { folderPath: folder.path, files };
    try {
      const snapshotless = listed.snapshots.length > 0
        ? undefined
        : await judgeSnapshotless(client, listed.generation, { signal });
      return await verifyGeneration(client, {
        inventory: listed,
        snapshotless,
        deep,
        parallelism,
        onBytes,
        signal,
      });
    } catch (error) {
      if (!(error instanceof ListingChangedError) || tries >= TRIES) throw error;
      listed = await listedWithin(client, inventory.generation, options);
    }
  }
  return undefined;
}

function progressOf(
  inventories: readonly Inventory[],
  tell: VerifyOptions["progress"],
): (count: number) => void {
  let totalBytes = 0;
  for (const { snapshots, segments } of inventories) {
    for (const { size } of [...snapshots, ...segments]) totalBytes += size;
  }
  let doneBytes = 0;
  return (count) => {
    doneBytes += count;
    tell?.({ doneBytes, totalBytes });
  };
}
