/** Whether a replica can be worked with: each kind of request once. */
import { openReplica } from "./open_replica.ts";
import type { CheckRow } from "./check.ts";
import { readAll } from "../bytes.ts";
import { readNote } from "../codec/object.ts";
import type { ReplicaConfig } from "../config/configuration.ts";
import { describeError, EncryptionError, StoreError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { systemFiles } from "../runtime/files.ts";
import { isWritable, nearestFolder } from "../runtime/folders.ts";
import type { ReplicaClient, SnapshotInfo } from "../storage/replica_client.ts";

/** Its name is no object's of a replica, so nobody takes it for one, and always the same, so there is only one. */
const PROBE_KEY = "walbrook-check";

/** How long all requests together may take. */
const PATIENCE_MS = 30_000;

/** The age keys are tried on the newest snapshot of so many generations; more is a listing of its own. */
const MAX_GENERATIONS = 20;

/** What a check gives. */
type Outcome = Pick<CheckRow, "result" | "found">;

/** List, write, read and delete; never throws. */
export async function checkReplica(
  config: ReplicaConfig,
  { logger, signal }: { logger: Logger; signal: AbortSignal },
): Promise<Outcome> {
  const patience = AbortSignal.timeout(PATIENCE_MS);
  try {
    const known = checkRecipients(config) ?? checkMissingFolder(config);
    if (known !== undefined) return known;
    const client = await openReplica(config, { logger });
    await using _ = client.store;
    return await probe(client, AbortSignal.any([signal, patience]));
  } catch (error) {
    const found = patience.aborted ? `no answer within ${PATIENCE_MS / 1000} seconds` : describeError(error);
    return { result: "failed", found };
  }
}

/** With keys to read alone a replica can be restored. */
function checkRecipients({ identities, recipients }: ReplicaConfig): Outcome | undefined {
  if (identities.length === 0 || recipients.length > 0) return undefined;
  const found = "nothing can be stored with age.identities alone: add age.recipients";
  return { result: "failed", found };
}

/** A folder that is still to be made is not made by looking. */
function checkMissingFolder(config: ReplicaConfig): Outcome | undefined {
  if (config.type !== "file" || config.mustExist) return undefined;
  if (systemFiles.statSync(config.path) !== undefined) return undefined;
  const folder = nearestFolder(config.path);
  return isWritable(folder)
    ? { result: "ok", found: `${config.path} does not exist yet; it is made in ${folder}` }
    : {
      result: "failed",
      found:
        `cannot make ${config.path}: no right to write to ${folder}; make it for the user that runs walbrook`,
    };
}

async function probe(client: ReplicaClient, signal: AbortSignal): Promise<Outcome> {
  const { store } = client;
  await store.check?.({ signal });
  const generations = await client.generations({ signal });
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  await store.put(PROBE_KEY, bytes, { signal });
  const read = await readAll(await store.get(PROBE_KEY, { signal }), { limit: 1024 });
  if (!isEqual(read, bytes)) {
    throw new Error(`${store.place}: ${PROBE_KEY} reads back other bytes than were written`);
  }
  await checkKeys(client, { generations, signal });
  const count = `${generations.length} ${generations.length === 1 ? "generation" : "generations"}`;
  try {
    await store.delete([PROBE_KEY], { signal });
  } catch (error) {
    if (!(error instanceof StoreError && error.isDenied)) throw error;
    const found = `${store.place}: ${count}; these credentials may not delete, so retention can't: ` +
      "write retention: 0, and let the provider remove what is old";
    return { result: "warning", found };
  }
  return { result: "ok", found: `${store.place}: ${count}; list, write, read and delete work` };
}

function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

/**
 * Whether the age keys fit what is stored: the beginning of the newest snapshot is read with them.
 *
 * @throws {EncryptionError} when they don't
 */
async function checkKeys(
  client: ReplicaClient,
  { generations, signal }: { generations: readonly string[]; signal: AbortSignal },
): Promise<void> {
  const { store, cipher } = client;
  if (cipher !== undefined && !cipher.canDecrypt) return;
  const newest = await newestSnapshot(client, { generations: generations.slice(-MAX_GENERATIONS), signal });
  if (newest === undefined) return;
  try {
    await readNote(await store.get(newest.key, { signal }), { cipher });
  } catch (error) {
    // Whether objects are whole is what verify finds out.
    if (error instanceof EncryptionError) throw new Error(`${store.place}/${newest.key}`, { cause: error });
  }
}

async function newestSnapshot(
  client: ReplicaClient,
  { generations, signal }: { generations: readonly string[]; signal: AbortSignal },
): Promise<SnapshotInfo | undefined> {
  let newest: SnapshotInfo | undefined;
  for (const generation of generations) {
    const last = (await client.snapshots(generation, { signal })).at(-1);
    if (last !== undefined && (newest === undefined || last.createdAt > newest.createdAt)) newest = last;
  }
  return newest;
}
