import { describeError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";

/**
 * Have the store remove what a crash left half-written: temporary files, and uploads in parts that nobody sees but
 * everybody pays for. Runs beside the uploads: nothing waits for it, and its failure is no more than told.
 */
export async function removeLeftovers(
  { store }: ReplicaClient,
  { logger, signal }: { logger: Logger; signal: AbortSignal },
): Promise<void> {
  try {
    await store.cleanUp?.({ signal });
  } catch (error) {
    if (!signal.aborted) logger.warn("leftovers are not cleaned up", { error: describeError(error) });
  }
}
