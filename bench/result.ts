/** What a run of the benchmarks keeps: raw samples, one file for each cell. */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Metric } from "./metrics.ts";

/** Who was measured. */
export type SideName = "ours" | "litestream" | "peer05";

/** One run of one program. */
export interface Sample {
  readonly values: Readonly<Partial<Record<Metric, number>>>;
  /** Single measurements behind a value, such as each lag. */
  readonly series?: Readonly<Partial<Record<Metric, readonly number[]>>>;
}

/** All programs once, one directly after the other. */
export interface Round {
  /** Milliseconds that the calibration kernel took before and after. */
  readonly calibrationMs: readonly [number, number];
  readonly samples: Readonly<Partial<Record<SideName, Sample>>>;
}

/** One line of work of a row, measured. */
export interface CellResult {
  /** Such as `B1/text-256`. */
  readonly id: string;
  readonly title: string;
  /** How much work: bytes, segments or databases; for floors and growth. */
  readonly scale: number;
  readonly rounds: readonly Round[];
  /** Those in which the machine's speed moved. */
  readonly droppedRounds: readonly Round[];
  readonly wantedCount: number;
  /** Why there are no numbers. */
  readonly problem?: string;
}

/** `--quick`, neither, `--full`. */
export type Mode = "quick" | "standard" | "full";

/** What stands above each table. */
export interface Header {
  readonly startedAt: string;
  readonly mode: Mode;
  readonly as: string;
  readonly isDefaults: boolean;
  /** Version of each program. */
  readonly programs: Readonly<Partial<Record<SideName, string>>>;
  readonly commit: string;
  readonly machine: string;
  readonly knobs: string;
}

/** A cell as it is in `bench/results/`. */
export interface KeptCell {
  readonly header: Header;
  readonly cell: CellResult;
}

/** Where results are kept. */
export const RESULTS_FOLDER = fileURLToPath(new URL("results", import.meta.url));

/** Keep a cell; it takes the place of the one that was measured in the same way before. */
export function writeCell({ header, cell }: KeptCell): void {
  mkdirSync(RESULTS_FOLDER, { recursive: true });
  const as = header.as.split("/").at(-1);
  const name = [cell.id.replace("/", "-"), as, header.mode, ...(header.isDefaults ? ["defaults"] : [])].join(
    "-",
  );
  const path = join(RESULTS_FOLDER, `${name}.json`);
  writeFileSync(`${path}.tmp`, JSON.stringify({ header, cell }, null, 1) + "\n");
  renameSync(`${path}.tmp`, path);
}

/** Every cell that is kept. */
export function readCells(): KeptCell[] {
  let names: string[] = [];
  try {
    names = readdirSync(RESULTS_FOLDER).filter((name) => name.endsWith(".json")).sort();
  } catch {
    // Nothing was measured yet.
  }
  return names.map((name) => JSON.parse(readFileSync(join(RESULTS_FOLDER, name), "utf8")) as KeptCell);
}
