/** All programs in turn, A B B A …, so that a machine whose speed drifts is fair to each. */
import { calibrate as runKernel, hasMoved } from "./calibration.ts";
import type { Program } from "./process.ts";
import type { CellResult, Mode, Round, Sample, SideName } from "./result.ts";

/** Who runs. */
export interface Side {
  readonly name: SideName;
  readonly program: Program;
}

/** One line of work of a row. */
export interface Cell {
  readonly id: string;
  readonly title: string;
  readonly scale: number;
  /** Sides that can't do it. */
  readonly without?: readonly SideName[];
  /** Whether each side does it once before it counts. Default true. */
  readonly warmsUp?: boolean;
  /** What has to be there first. */
  readonly prepare?: (sides: readonly Side[]) => Promise<void>;
  /** Do the work once, from nothing. */
  readonly run: (side: Side) => Promise<Sample>;
  /** Whether what the last runs left is right, as both programs see it. @throws {Error} when not: no number then */
  readonly prove: (sides: readonly Side[]) => Promise<void>;
}

/** How a cell is measured. */
export interface RunnerOptions {
  readonly sides: readonly Side[];
  readonly wantedCount: number;
  readonly tell: (line: string) => void;
  /** Of `performance.now()`; no pair begins after it. Default none. */
  readonly endsAtMs?: number;
  /** Milliseconds of a fixed piece of work. Default the calibration kernel. */
  readonly calibrate?: () => number;
}

/** Rounds that count. `--full` leaves room for two misfortunes among nine. */
export const ROUND_COUNTS: Readonly<Record<Mode, number>> = { quick: 2, standard: 5, full: 9 };

/** Measure a cell. Its failures are its result's `problem`. */
export async function runCell(
  cell: Cell,
  { sides: all, wantedCount, tell, calibrate = runKernel, endsAtMs = Infinity }: RunnerOptions,
): Promise<CellResult> {
  const sides = all.filter(({ name }) => !cell.without?.includes(name));
  const rounds: Round[] = [];
  const droppedRounds: Round[] = [];
  const { id, title, scale } = cell;
  const result = { id, title, scale, rounds, droppedRounds, wantedCount };
  try {
    await cell.prepare?.(sides);
    calibrate();
    if (cell.warmsUp ?? true) { for (const side of sides) await cell.run(side); }
    // Half as many again may be dropped; a machine that is never still gets no number.
    const most = wantedCount + Math.ceil(wantedCount / 2);
    for (let number = 0; rounds.length < wantedCount && number < most; number++) {
      if (performance.now() > endsAtMs) break;
      const round = await runRound(cell, { order: number % 2 === 0 ? sides : sides.toReversed(), calibrate });
      const isDropped = hasMoved(round.calibrationMs);
      (isDropped ? droppedRounds : rounds).push(round);
      tell(`${id}: pair ${number + 1}${isDropped ? " dropped" : ""}`);
    }
    await cell.prove(sides);
    return result;
  } catch (error) {
    return { ...result, problem: messageOf(error) };
  }
}

async function runRound(
  cell: Cell,
  { order, calibrate }: { order: readonly Side[]; calibrate: () => number },
): Promise<Round> {
  const samples: Partial<Record<SideName, Sample>> = {};
  const before = calibrate();
  for (const side of order) samples[side.name] = await cell.run(side);
  return { calibrationMs: [before, calibrate()], samples };
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // What came first, not what that did to the closing.
  if ("suppressed" in error) return messageOf(error.suppressed);
  const cause = error.cause === undefined ? "" : `: ${messageOf(error.cause)}`;
  return `${error.message}${cause}`.replaceAll(/\s+/g, " ").trim();
}
