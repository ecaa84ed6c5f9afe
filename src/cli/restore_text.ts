/** What `walbrook restore` tells on standard output: plans and what came of them. */
import { formatBytes } from "./progress.ts";
import { formatTime } from "./table.ts";
import { formatIndex } from "../position.ts";
import { plannedBytes, type PreparedRestore, type RestoreMoments } from "../restore/prepare.ts";
import type { RestoreSummary } from "../restore/restore.ts";

/** Where a restore would go. */
export interface PlannedOutput {
  /** `-` for standard output. */
  readonly path: string;
  readonly exists: boolean;
}

/** A plan for people, a line for each thing. */
export function formatPlan(
  { choice: { client }, plan }: PreparedRestore,
  { moments, output }: { moments: RestoreMoments; output: PlannedOutput },
): string {
  const { snapshot, segments, next } = plan;
  const bytes = plannedBytes(plan);
  const [first, last] = [segments[0], segments.at(-1)];
  const leftOut: [string, string][] = next === undefined || moments.nextAt === undefined
    ? []
    : [["left out", `from ${next.key} on, of ${moments.nextAt.toISOString()}`]];
  const lines: [string, string][] = [
    ["replica", `${client.name}, ${client.store.place}`],
    ["generation", plan.generation],
    ["snapshot", `index ${formatIndex(snapshot.index)}, ${snapshot.size} bytes`],
    [
      "wal",
      first === undefined || last === undefined
        ? "none"
        : `index ${formatIndex(first.index)} to ${formatIndex(last.index)}, segments: ${segments.length}`,
    ],
    ["to fetch", `${bytes} bytes (${formatBytes(bytes)})`],
    ["reaches", `${moments.reachedAt.toISOString()}${moments.isNoted ? "" : ", by the time of the object"}`],
    ...leftOut,
    ["restorable", `${formatTime(moments.earliestAt)} to ${formatTime(moments.latestAt)}`],
    ["output", `${output.path}${output.exists ? ", which exists: restore would refuse" : ""}`],
  ];
  return lines.map(([what, text]) => `${what.padEnd(12)}${text}\n`).join("");
}

/** The same for programs. */
export function planJson(
  { choice: { client }, plan }: PreparedRestore,
  { moments, output }: { moments: RestoreMoments; output: PlannedOutput },
): string {
  const { snapshot, segments } = plan;
  return object({
    restored: false,
    reason: "dry run",
    replica: client.name,
    place: client.store.place,
    generation: plan.generation,
    snapshot_index: snapshot.index,
    index_min: segments[0]?.index,
    index_max: segments.at(-1)?.index,
    segments: segments.length,
    bytes: plannedBytes(plan),
    moment: moments.reachedAt.toISOString(),
    ...momentsValue(moments),
    output: output.path,
    output_exists: output.exists,
  });
}

/** What was restored, for programs. */
export function summaryJson(summary: RestoreSummary, { outputPath }: { outputPath: string }): string {
  return object({
    restored: true,
    replica: summary.replica,
    generation: summary.generation,
    snapshot_index: summary.snapshotIndex,
    index: summary.lastPosition.index,
    offset: summary.lastPosition.offset,
    segments: summary.segmentCount,
    bytes: summary.bytes,
    page_count: summary.pageCount,
    page_size: summary.pageSize,
    moment: summary.momentAt.toISOString(),
    ...(summary.moments && momentsValue(summary.moments)),
    unproven_indexes: summary.unprovenIndexes,
    output: outputPath,
  });
}

/** That nothing was to be done, for programs. */
export function skippedJson(reason: string): string {
  return object({ restored: false, reason });
}

function momentsValue({ earliestAt, latestAt, nextAt, isNoted }: RestoreMoments): Record<string, unknown> {
  return {
    moment_is_noted: isNoted,
    next_moment: nextAt?.toISOString(),
    earliest_moment: earliestAt.toISOString(),
    latest_moment: latestAt.toISOString(),
  };
}

function object(value: Record<string, unknown>): string {
  return JSON.stringify(value, null, 2) + "\n";
}
