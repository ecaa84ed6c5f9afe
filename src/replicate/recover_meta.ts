/**
 * A meta directory that was lost, made again from a replica and the live WAL.
 *
 * The replica says how its newest generation ends: index, offset, checksum of the last frame. Where the live WAL has a
 * frame with that checksum right there, everything before it is the same, since each checksum continues the one before
 * from the header and its salts on. That part of the live WAL then is the shadow WAL that was lost; whether it can be
 * gone on with is judged as at every start.
 */
import { readRemoteState } from "./remote_position.ts";
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
  readonly signal: AbortSignal;
}

/** Where a replica ends, as far as that can be compared with a WAL. */
interface ReplicaEnd {
  readonly position: Position;
  readonly checksum: Checksum;
}

const READ_BYTES = 1 << 20;

/** Write generation and shadow WAL down again where one of the replicas proves them. Never fails: a new one starts then. */
export async function recoverMeta(options: RecoveryOptions): Promise<void> {
  const { databasePath, clients, files, logger, signal } = options;
  const walPath = `${databasePath}-wal`;
  const pageSize = pageSizeOf(walPath, files);
  // Without a WAL there is nothing that a replica could be compared with.
  if (pageSize === undefined) return;
  for (const client of clients) {
    // Only a replica that holds something says that there was a meta directory.
    let message = "no meta directory, and this replica can't be asked whether it can be gone on with";
    try {
      const newest = await newestSegment(client, { signal });
      if (newest === undefined) continue;
      message = "the meta directory was lost, and this replica can't be gone on with";
      const { generation } = newest;
      const end = await endOf(client, { generation, pageSize, signal });
      await copyPrefix(walPath, end, options);
      const position = formatPosition(end.position);
      logger.warn("the meta directory was lost; the live wal proves that the replica can be gone on with", {
        replica: client.name,
        position,
      });
      return;
    } catch (error) {
      logger.warn(message, { replica: client.name, error: describeError(error) });
    }
  }
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
  { meta, files, signal }: RecoveryOptions,
): Promise<void> {
  const { generation, index, offset } = position;
  const target = meta.shadowPath(generation, index);
  try {
    meta.createShadowFolder(generation);
    {
      using wal = files.openSync(walPath, { access: "read" });
      using shadow = files.openSync(`${target}.tmp`, { access: "create", mode: meta.fileMode });
      const end = await copyChecked(wal, shadow, { length: offset, signal });
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
  { length, signal }: { length: number; signal: AbortSignal },
): Promise<Checksum | undefined> {
  const checker = new FrameChecker();
  const buffer = new Uint8Array(READ_BYTES);
  for (let at = 0; at < length;) {
    signal.throwIfAborted();
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
