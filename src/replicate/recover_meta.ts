/**
 * A meta directory that was lost, made again from a replica and the live WAL.
 *
 * The replica says how its newest generation ends: index, offset, checksum of the last frame. Where the live WAL has a
 * frame with that checksum right there, everything before it is the same, since each checksum continues the one before
 * from the header and its salts on. That part of the live WAL then is the shadow WAL that was lost; whether it can be
 * gone on with is judged as at every start.
 */
import { readRemoteState } from "./remote_position.ts";
import { orAbort } from "../async.ts";
import type { MetaDirectory } from "../database/meta_directory.ts";
import { describeError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { formatPosition, type Position, WAL_HEADER_SIZE } from "../position.ts";
import { yieldToEvents } from "../runtime/clock.ts";
import type { Files, OpenFile } from "../runtime/files.ts";
import { parentFolder } from "../runtime/paths.ts";
import type { ReplicaClient, SegmentInfo } from "../storage/replica_client.ts";
import type { Checksum } from "../wal/checksum.ts";
import { FrameChecker } from "../wal/frame_checker.ts";
import { equalPair, parseWalHeader } from "../wal/header.ts";

/** What there is to recover from. */
export interface RecoveryOptions {
  readonly databasePath: string;
  /** Names no generation. */
  readonly meta: MetaDirectory;
  readonly clients: readonly ReplicaClient[];
  readonly files: Files;
  readonly logger: Logger;
  /** How long the replicas are waited for, all of them at once. */
  readonly limitMs: number;
}

/** Where a replica ends, as far as that can be compared with a WAL. */
interface ReplicaEnd {
  readonly position: Position;
  readonly checksum: Checksum;
}

const READ_BYTES = 1 << 20;

/** What a replica says of its end, or why that can't be told. */
type Answer = { readonly end: ReplicaEnd } | { readonly message: string; readonly error: unknown };

const NOT_GONE_ON = "the meta directory was lost, and this replica can't be gone on with";

/** Write generation and shadow WAL down again where one of the replicas proves them. Never fails: a new one starts then. */
export async function recoverMeta(options: RecoveryOptions): Promise<void> {
  const { databasePath, clients, files, limitMs } = options;
  const walPath = `${databasePath}-wal`;
  const pageSize = pageSizeOf(walPath, files);
  // Without a WAL there is nothing that a replica could be compared with.
  if (pageSize === undefined) return;
  const asking = new AbortController();
  const signal = AbortSignal.any([asking.signal, AbortSignal.timeout(limitMs)]);
  // All at once: one that doesn't answer is not to use up the time of the others.
  const answers = clients.map((client) => ask(client, { pageSize, signal }));
  try {
    for (const [at, client] of clients.entries()) {
      const answer = await answers[at];
      if (answer !== undefined && await hasRecovered(answer, { ...options, walPath, client })) return;
    }
  } finally {
    asking.abort();
  }
}

/** @returns `undefined` for a replica that holds nothing; never rejects */
async function ask(
  client: ReplicaClient,
  { pageSize, signal }: { pageSize: number; signal: AbortSignal },
): Promise<Answer | undefined> {
  // Only a replica that holds something says that there was a meta directory.
  let message = "no meta directory, and this replica can't be asked whether it can be gone on with";
  try {
    // A folder on a disk that hangs knows of no signal.
    const newest = await orAbort(newestSegment(client, { signal }), signal);
    if (newest === undefined) return undefined;
    message = NOT_GONE_ON;
    const { generation } = newest;
    return { end: await orAbort(endOf(client, { generation, pageSize, signal }), signal) };
  } catch (error) {
    return { message, error };
  }
}

/** Whether `answer` was enough to go on with; what is said of it. */
async function hasRecovered(
  answer: Answer,
  { walPath, client, ...options }: RecoveryOptions & { walPath: string; client: ReplicaClient },
): Promise<boolean> {
  const logger = options.logger.with({ replica: client.name });
  const warn = (message: string, error: unknown) => logger.warn(message, { error: describeError(error) });
  if ("error" in answer) {
    warn(answer.message, answer.error);
    return false;
  }
  try {
    await copyPrefix(walPath, answer.end, options);
  } catch (error) {
    warn(NOT_GONE_ON, error);
    return false;
  }
  logger.warn("the meta directory was lost; the live wal proves that the replica can be gone on with", {
    position: formatPosition(answer.end.position),
  });
  return true;
}

function pageSizeOf(walPath: string, files: Files): number | undefined {
  if ((files.statSync(walPath)?.size ?? 0) <= WAL_HEADER_SIZE) return undefined;
  using file = files.openSync(walPath, { access: "read" });
  const header = new Uint8Array(WAL_HEADER_SIZE);
  file.readSync(header, 0);
  try {
    return parseWalHeader(header).pageSize;
  } catch {
    return undefined; // The follower will judge it.
  }
}

/** Of the generation that was written to last; `undefined` for a replica without any. */
async function newestSegment(
  client: ReplicaClient,
  { signal }: { signal: AbortSignal },
): Promise<SegmentInfo | undefined> {
  let newest: SegmentInfo | undefined;
  for (const generation of await client.generations({ signal })) {
    const last = (await client.segments(generation, { signal })).at(-1);
    if (last !== undefined && (newest === undefined || last.createdAt > newest.createdAt)) newest = last;
  }
  return newest;
}

async function endOf(
  client: ReplicaClient,
  { generation, pageSize, signal }: { generation: string; pageSize: number; signal: AbortSignal },
): Promise<ReplicaEnd> {
  const remote = await readRemoteState(client, { generation, pageSize, signal });
  const { position, checksum, snapshotIndex, damaged, unreadable } = remote;
  const problem = damaged?.reason ?? unreadable;
  if (problem !== undefined) throw new Error(problem);
  if (snapshotIndex === undefined || position === undefined || checksum === undefined) {
    throw new Error(`generation ${generation} does not say where it ends`);
  }
  return { position, checksum };
}

/** Copy the live WAL up to `end` into the shadow WAL, if it is what the replica has. */
async function copyPrefix(
  walPath: string,
  { position, checksum }: ReplicaEnd,
  { meta, files }: RecoveryOptions,
): Promise<void> {
  const { generation, index, offset } = position;
  const target = meta.shadowPath(generation, index);
  try {
    meta.createShadowFolder(generation);
    {
      using wal = files.openSync(walPath, { access: "read" });
      using shadow = files.openSync(`${target}.tmp`, { access: "create", mode: meta.fileMode });
      const end = await copyChecked(wal, shadow, { length: offset });
      if (end === undefined || !equalPair(end, checksum)) {
        throw new Error(`the live wal is not the one that ${formatPosition(position)} is of`);
      }
      shadow.syncSync();
    }
    meta.adoptFile(`${target}.tmp`);
    files.renameSync(`${target}.tmp`, target);
    files.syncFolderSync(parentFolder(target));
    meta.writeGeneration(generation);
  } catch (error) {
    meta.removeGeneration(generation);
    throw error;
  }
}

/** @returns the checksum of the last frame; `undefined` when the WAL is shorter or breaks off before `length` */
async function copyChecked(
  wal: OpenFile,
  shadow: OpenFile,
  { length }: { length: number },
): Promise<Checksum | undefined> {
  const checker = new FrameChecker();
  const buffer = new Uint8Array(READ_BYTES);
  for (let at = 0; at < length;) {
    const chunk = buffer.subarray(0, Math.min(buffer.length, length - at));
    if (wal.readSync(chunk, at) < chunk.length) return undefined;
    checker.accept(chunk);
    shadow.writeSync(chunk, at);
    at += chunk.length;
    await yieldToEvents();
  }
  checker.end();
  return checker.checksum;
}
