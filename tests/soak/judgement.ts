/** After the faults: everything is in every replica, and every restore point is what it was. */
import { statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { type Inventory, listGeneration } from "../../src/restore/inventory.ts";
import { momentsOf } from "../../src/restore/moments.ts";
import type { ReplicaClient } from "../../src/storage/replica_client.ts";
import { pageDifference } from "../restore/database_pages.ts";
import { comparePlaces, type Content, type Place } from "./ledger.ts";
import { judgeFile, outputPathIn, removeOutput, restoreOurs, wordsOf } from "./probe.ts";
import type { SoakReplica } from "./replicas.ts";
import type { Scene } from "./scene.ts";

/** The longest tick of a kernel's coarse clock. */
const TICK_MS = 10;

/** Restore points of each replica that are tried. */
export interface Thoroughness {
  readonly pointCount: number;
  readonly litestreamCount: number;
  /** Longest time from the last fault to a replica that has everything. */
  readonly settleLimitMs: number;
}

/** Judge the round. The applications write until they are stopped here. */
export async function judgeRound(scene: Scene, thoroughness: Thoroughness): Promise<void> {
  const { applications, follower, replicas, judge, ledger, databasePath } = scene;
  await applications.stop();
  const live = await judge.live(databasePath);
  ledger.read();
  ledger.see(live.id);
  const newest = ledger.newest;
  if (newest !== undefined && comparePlaces(live, newest) < 0) {
    scene.problem(
      `the database itself is at ${live.id}, ${newest.id} was committed: SQLite or the campaign errs`,
    );
  }
  for (const replica of replicas) await untilCurrent(scene, replica, { live, ...thoroughness });
  const code = await follower.stop();
  const stoppedAt = Date.now();
  if (code !== 0 && !replicas.some(({ isSpoiled }) => isSpoiled)) {
    scene.problem(`walbrook ended with ${code}, with nothing in its way`);
  }
  await judge.truncate(databasePath);
  for (const replica of replicas) {
    await compareWithLive(scene, replica, live);
    await tryPoints(scene, replica, { ...thoroughness, stoppedAt });
  }
  ledger.read();
  for (const id of scene.restoredIds) {
    if (ledger.isPhantom(id)) scene.problem(`commit ${id} was restored, but never made`);
  }
  for (const complaint of ledger.complaints) scene.problem(`an application complains: ${complaint}`);
}

async function untilCurrent(
  scene: Scene,
  replica: SoakReplica,
  { live, settleLimitMs }: Thoroughness & { live: Place },
): Promise<void> {
  const startMs = performance.now();
  for (;;) {
    const restored = await restoreOurs(scene, replica, { what: "newest" });
    if (restored?.kind === "content") {
      removeOutput(restored.path);
      scene.tally.restores.add("newest");
      if (restored.content.id === live.id) {
        scene.tally.settledMs.push(performance.now() - startMs);
        return;
      }
    }
    const elapsedMs = performance.now() - startMs;
    const isRefusing = replica.isSpoiled && restored?.kind === "refused";
    if (restored === undefined || elapsedMs > settleLimitMs || (isRefusing && elapsedMs > 10_000)) {
      return noteBehind(scene, replica, { live, restored });
    }
    await delay(200);
  }
}

function noteBehind(
  scene: Scene,
  replica: SoakReplica,
  { live, restored }: { live: Place; restored: Awaited<ReturnType<typeof restoreOurs>> },
): void {
  if (restored === undefined) return;
  const what = restored.kind === "content"
    ? `is at ${restored.content.id}`
    : restored.kind === "refused"
    ? restored.reason
    : "still holds what Litestream stored";
  // Who throws away what he says to have stored can't be healed, only found out.
  if (replica.isSpoiled && restored.kind === "refused") {
    return scene.tally.refusals.add(`lying store: ${wordsOf(scene, restored.reason)}`);
  }
  scene.problem(`${replica.name} doesn't catch up with ${live.id}: ${what}`);
}

/** Page for page. */
async function compareWithLive(scene: Scene, replica: SoakReplica, live: Place): Promise<void> {
  const path = outputPathIn(scene);
  try {
    const { pageSize } = await replica.restore(path);
    const difference = pageDifference(path, scene.databasePath, { pageSize });
    if (difference === undefined) scene.tally.pagesCompared += statSync(path).size / pageSize;
    else scene.problem(`${replica.name} at ${live.id}: ${difference}`);
    removeOutput(path);
  } catch (error) {
    if (!replica.isSpoiled) throw error;
  }
}

/** One restore point: an index of a generation, or a moment. */
interface Point {
  readonly kind: "index" | "moment";
  readonly generation?: string;
  readonly index?: number;
  readonly at?: Date;
  /** Retention promises it. */
  readonly isPromised: boolean;
}

async function tryPoints(
  scene: Scene,
  replica: SoakReplica,
  { pointCount, litestreamCount, stoppedAt }: Thoroughness & { stoppedAt: number },
): Promise<void> {
  const points = await choosePoints(scene, replica, { count: pointCount, stoppedAt });
  const found: { point: Point; content: Content }[] = [];
  for (const [nth, point] of points.entries()) {
    const content = await tryPoint(scene, replica, point);
    if (content !== undefined) found.push({ point, content });
    if (nth < litestreamCount) await tryLitestream(scene, replica, point);
  }
  checkOrder(scene, replica, found);
}

/** Half of them indexes, half moments from before the first object to after the last. */
async function choosePoints(
  scene: Scene,
  { client }: SoakReplica,
  { count, stoppedAt }: { count: number; stoppedAt: number },
): Promise<Point[]> {
  const { chance, retentionMs } = scene;
  const inventories = [];
  for (const generation of await client.generations()) {
    const inventory = await listGeneration(client, generation);
    if (inventory.snapshots.length > 0) inventories.push(inventory);
  }
  if (inventories.length === 0) return [];
  const times = inventories.flatMap(({ snapshots, segments }) =>
    [...snapshots, ...segments].map(({ createdAt }) => createdAt.getTime())
  );
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const spans = await Promise.all(inventories.map((inventory) => spanOf(client, inventory)));
  // An index is one of WAL: a generation in which nothing was committed yet has none.
  const withWal = inventories.filter(({ segments }) => segments.length > 0);
  const points: Point[] = [];
  while (points.length < count) {
    if (points.length % 2 === 0 && withWal.length > 0) {
      const { generation, snapshots, segments } = chance.pick(withWal);
      const indexes = segments.map(({ index }) => index).filter((index) => index >= snapshots[0]!.index);
      if (indexes.length === 0) break;
      points.push({ kind: "index", generation, index: chance.pick(indexes), isPromised: true });
    } else {
      const at = new Date(Math.round(chance.between([first - 500, last + 500])));
      // Retention went on while nothing was committed any more.
      const isKept = at.getTime() > Math.max(first + retentionMs, stoppedAt - retentionMs);
      const isPromised = isKept && !scene.hasMovedClock &&
        spans.some(({ from, to }) => from <= at && at <= to);
      points.push({ kind: "moment", at, isPromised });
    }
  }
  return points;
}

/**
 * From when to when a generation can be restored to any moment: from the end of the segment that holds the place from
 * which its first snapshot is right. Between one generation and the next nothing can be restored.
 */
async function spanOf(
  client: ReplicaClient,
  { snapshots, segments }: Inventory,
): Promise<{ from: Date; to: Date }> {
  const momentOf = momentsOf(client);
  const first = snapshots[0]!;
  const { at, offset } = await momentOf(first);
  const reaching = segments.findLast((segment) => segment.index === first.index && segment.offset < offset);
  const reached = reaching === undefined ? at : (await momentOf(reaching)).at;
  const to = (await momentOf(segments.at(-1) ?? snapshots.at(-1)!)).at;
  return { from: reached > at ? reached : at, to };
}

async function tryPoint(scene: Scene, replica: SoakReplica, point: Point): Promise<Content | undefined> {
  const { kind, generation, index, at, isPromised } = point;
  const what = kind === "index" ? `index ${generation}/${index}` : `moment ${at!.toISOString()}`;
  const restored = await restoreOurs(scene, replica, {
    target: kind === "index" ? { kind, index: index! } : { kind, at: at! },
    ...(generation === undefined ? {} : { generation }),
    what,
  });
  if (restored === undefined || restored.kind === "not judged") return undefined;
  if (restored.kind === "refused") {
    scene.tally.refusals.add(`${kind}: ${wordsOf(scene, restored.reason)}`);
    if (isPromised && !replica.isSpoiled) scene.problem(`${replica.name}, ${what}: ${restored.reason}`);
    return undefined;
  }
  scene.tally.restores.add(`walbrook ${kind}`);
  removeOutput(restored.path);
  const { content } = restored;
  const record = scene.ledger.recordOf(content.id)!;
  // Objects of Litestream's have no notes, and their files the time of the kernel's last tick.
  const toleranceMs = scene.hasForeignObjects ? TICK_MS : 0;
  if (kind === "moment" && !scene.hasMovedClock && record.at > at!.getTime() + toleranceMs) {
    scene.problem(
      `${replica.name}, ${what}: holds ${content.id}, announced ${record.at - at!.getTime()} ms later`,
    );
  }
  return content;
}

async function tryLitestream(scene: Scene, replica: SoakReplica, point: Point): Promise<void> {
  const { kind, generation, index, at } = point;
  const path = outputPathIn(scene);
  const args = kind === "index"
    ? ["-generation", generation!, "-index", String(index)]
    : ["-timestamp", at!.toISOString()];
  const failure = await replica.restoreByLitestream(path, {
    databasePath: scene.databasePath,
    args,
    configPath: `${scene.folder}/litestream-restore.yml`,
  });
  if (failure !== undefined) {
    scene.tally.litestream.add(`${kind}: ${wordsOf(scene, failure.split("\n").at(-1)!)}`);
    removeOutput(path);
    return;
  }
  // A segment that the store threw away at the end of an index can't be missed by a program without our notes.
  if (replica.isSpoiled) {
    scene.tally.litestream.add(`${kind}: from a store that lied, not judged`);
    return removeOutput(path);
  }
  const content = await judgeFile(scene, path, `${replica.name}, Litestream ${args.join(" ")}`);
  if (content === undefined) return;
  scene.tally.restores.add(`Litestream ${kind}`);
  removeOutput(path);
}

/** A later restore point of the same history never holds an earlier commit. */
function checkOrder(
  scene: Scene,
  replica: SoakReplica,
  found: readonly { point: Point; content: Content }[],
): void {
  const series = new Map<string, { order: number; content: Content }[]>();
  for (const { point: { kind, generation, index, at }, content } of found) {
    if (kind === "moment" && scene.hasMovedClock) continue;
    const key = generation ?? "moments";
    series.set(key, [...series.get(key) ?? [], { order: index ?? at!.getTime(), content }]);
  }
  for (const [key, entries] of series) {
    entries.sort((left, right) => left.order - right.order);
    for (const [nth, { order, content }] of entries.entries()) {
      const before = entries[nth - 1];
      if (before === undefined || comparePlaces(before.content, content) <= 0) continue;
      scene.problem(
        `${replica.name}, ${key}: ${order} holds ${content.id}, the earlier ${before.order} ${before.content.id}`,
      );
    }
  }
}
