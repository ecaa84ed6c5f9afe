/** What `walbrook verify` does. */
import { KEEP_TRYING_MS, openReplica } from "./open_replica.ts";
import type { Output } from "./command.ts";
import { findSource } from "./source.ts";
import { transferProgress } from "./transfer_progress.ts";
import { VERIFY_EXIT, type VerifyRequest } from "./verify.ts";
import { formatReport } from "./verify_text.ts";
import type { ReplicaConfig } from "../config/configuration.ts";
import { describeError, UnopenedReplicaError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { type EndSignal, exitProcess, onSignal } from "../runtime/process.ts";
import type { ReplicaClient } from "../storage/replica_client.ts";
import type { VerifyReport } from "../verify/report.ts";
import { verifyReplica } from "../verify/verify.ts";

/** A replica that could not be looked at. */
interface UnseenReplica {
  readonly replica: string;
  /** Absent where it can't even be opened. */
  readonly place?: string;
  readonly error: string;
}

/** Verify; returns the exit code. */
export async function runVerify(request: VerifyRequest, output: Output): Promise<number> {
  // Standard output is the report's alone.
  const toError: Output = { ...output, writeRecord: output.writeError };
  const { replicas, logger } = await findSource(request.source, toError);
  const aborting = new AbortController();
  let signalCount = 0;
  using _signals = onSignal(["SIGINT", "SIGTERM"], (signal: EndSignal) => {
    if (++signalCount > 1) exitProcess(VERIFY_EXIT.unseen);
    aborting.abort(new Error(`stopped by ${signal}`));
  });
  const results: (VerifyReport | UnseenReplica)[] = [];
  for (const replica of replicas) {
    const result = await openAndLook(replica, { request, output, logger, signal: aborting.signal });
    aborting.signal.throwIfAborted();
    results.push(result);
    if (request.isJson) continue;
    if ("error" in result) {
      output.writeError(`walbrook verify: ${result.place ?? `replica ${result.replica}`}: ${result.error}\n`);
    } else output.writeOutput(formatReport(result));
  }
  if (request.isJson) output.writeOutput(`${JSON.stringify({ replicas: results }, undefined, 2)}\n`);
  return exitCodeOf(results);
}

/** Damage counts for more than what could not be looked at. */
export function exitCodeOf(results: readonly (VerifyReport | UnseenReplica)[]): number {
  const isDamaged = (result: VerifyReport | UnseenReplica) =>
    "generations" in result && result.generations.some(({ damages }) => damages.length > 0);
  if (results.some(isDamaged)) return VERIFY_EXIT.damaged;
  const isProven = results.every((result) => "isProven" in result && result.isProven);
  return isProven ? VERIFY_EXIT.proven : VERIFY_EXIT.unseen;
}

/** How a replica is looked at. */
interface Look {
  readonly request: VerifyRequest;
  readonly output: Output;
  readonly signal: AbortSignal;
}

async function openAndLook(
  replica: ReplicaConfig,
  { logger, ...options }: Look & { readonly logger: Logger },
): Promise<VerifyReport | UnseenReplica> {
  try {
    const client = await openReplica(replica, { logger, keepTryingMs: KEEP_TRYING_MS });
    await using _ = client.store;
    return await look(client, options);
  } catch (error) {
    if (!(error instanceof UnopenedReplicaError)) throw error;
    return { replica: replica.name, error: describeError(error.cause) };
  }
}

async function look(
  client: ReplicaClient,
  { request, output, signal }: Look,
): Promise<VerifyReport | UnseenReplica> {
  const { place } = client.store;
  using progress = transferProgress(`verifying ${place}`, output);
  const { generation, from, to, isDeep, parallelism } = request;
  try {
    return await verifyReplica(client, {
      generation,
      from,
      to,
      isDeep,
      parallelism,
      progress: progress.tell,
      signal,
    });
  } catch (error) {
    return { replica: client.name, place, error: describeError(error) };
  }
}
