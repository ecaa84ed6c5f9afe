/** What `walbrook verify` prints for people. */
import { formatBytes } from "./progress.ts";
import { describeCost } from "../verify/costs.ts";
import type { Finding, GenerationReport, VerifyReport } from "../verify/report.ts";

/** A report in lines; the verdict is the last one. */
export function formatReport(report: VerifyReport): string {
  const lines = report.generations.flatMap((generation) => generationLines(generation, report));
  lines.push(...report.findings.map(findingLine));
  const damageCount = report.generations.reduce((sum, { damages }) => sum + damages.length, 0);
  const lost = report.generations.reduce((sum, one) => sum + one.pointCount - one.reachableCount, 0);
  lines.push(
    report.isProven
      ? `${report.place}: proven, every restore point can be restored`
      : damageCount === 0
      ? `${report.place}: no damage found, but not all of it could be looked at`
      : `${report.place}: DAMAGED, ${counted(damageCount, "object")} bad or missing, ` +
        `${counted(lost, "restore point")} lost`,
  );
  return lines.join("\n") + "\n";
}

function generationLines(generation: GenerationReport, { place, isDeep }: VerifyReport): string[] {
  const { snapshotCount, segmentCount, bytes, pointCount, reachableCount, continuity } = generation;
  const lines = [
    `${place}: generation ${generation.generation}: ${counted(snapshotCount, "snapshot")}, ` +
    `${counted(segmentCount, "segment")}, ${formatBytes(bytes)} read`,
    `  restore points: ${reachableCount} of ${pointCount}${rangeOf(generation)}`,
    `  from index to index: ${counted(continuity.proven, "step")} proven by notes, ` +
    `${continuity.evident} evident from salts, ${continuity.unproven} unproven`,
  ];
  if (isDeep) {
    lines.push(
      `  content: ${counted(generation.comparedSnapshotCount, "snapshot")} compared page by page, ` +
        `${counted(generation.integrityCheckCount, "integrity check")}`,
    );
  }
  for (const { key, reason, cost } of generation.damages) {
    lines.push(`  DAMAGED ${key}: ${reason}`, `    ${describeCost(cost)}`);
  }
  return [...lines, ...generation.findings.map(findingLine)];
}

function rangeOf({ earliestAt, latestAt }: GenerationReport): string {
  if (earliestAt === undefined || latestAt === undefined) return "";
  return `, from ${earliestAt.toISOString()} to ${latestAt.toISOString()}`;
}

function findingLine({ kind, key, message, count }: Finding): string {
  return `  ${kind}: ${key}: ${message}${count > 1 ? ` (${count} in all)` : ""}`;
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
