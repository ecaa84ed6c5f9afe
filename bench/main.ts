/**
 * Side by side with Litestream 0.3.13: `deno task bench [B1 … B12] [B1/text-64 …] [--quick|--full] [--as deno|bun|exe]
 * [--defaults] [--peer-05 PATH]`.
 *
 * The method is in `docs/PERFORMANCE.md`. Raw samples go to `bench/results/`, one file for each cell; `deno task
 * bench:report` makes the page of them. Exits with 1 when a cell has no number.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ensureServers } from "../tests/servers/install.ts";
import { type Arguments, chosenCells, parseArguments } from "./arguments.ts";
import { judgeCell } from "./judge.ts";
import { makeHeader } from "./machine.ts";
import { cellLines, headerLines } from "./print.ts";
import { litestream, walbrook } from "./process.ts";
import { writeCell } from "./result.ts";
import { ROWS } from "./rows/rows.ts";
import { ROUND_COUNTS, runCell, type Side } from "./runner.ts";
import { Scene } from "./scene.ts";

/** Rows that need the S3 server. */
const BUCKET_ROWS: readonly string[] = ["B2", "B3", "B4", "B5", "B10"];

function sidesOf({ as, peer05Path }: Arguments): Side[] {
  const sides: Side[] = [
    { name: "ours", program: walbrook(as) },
    { name: "litestream", program: litestream },
  ];
  if (peer05Path !== undefined) {
    if (!existsSync(peer05Path)) throw new Error(`--peer-05 ${peer05Path}: no such file`);
    sides.push({ name: "peer05", program: { name: "Litestream 0.5", words: [peer05Path] } });
  }
  for (const { program } of sides) {
    const path = program.words[0]!;
    if (!existsSync(path)) throw new Error(`${path}: no such program; run "deno install" first`);
  }
  return sides;
}

/** `--quick` takes at most six minutes: no cell and no pair begins after this time. */
const QUICK_LIMIT_MS = 5 * 60_000;

/** Whether every cell has a number. */
async function run(options: Arguments): Promise<boolean> {
  if (options.rows.some((row) => BUCKET_ROWS.includes(row))) await ensureServers();
  const sides = sidesOf(options);
  const folder = mkdtempSync(join(tmpdir(), "walbrook-bench-"));
  let hasAll = true;
  // What was started ends on exit, or when its input ends.
  const breakOff = () => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(130);
  };
  process.on("SIGINT", breakOff).on("SIGTERM", breakOff);
  try {
    await using scene = new Scene({ ...options, folder });
    const header = makeHeader({ ...options, sides, folder });
    for (const line of headerLines(header)) console.log(line);
    const endsAtMs = options.mode === "quick" ? QUICK_LIMIT_MS : Infinity;
    for (const row of options.rows) {
      const wanted = options.cells.filter((cell) => cell.startsWith(`${row}/`));
      const cells = ROWS[row]!(scene);
      const ids = chosenCells(wanted, cells.map((cell) => cell.id));
      for (const cell of cells) {
        if (!ids.has(cell.id)) continue;
        if (performance.now() > endsAtMs) {
          console.log(`\n${cell.id}  not measured: --quick has no time left; name the row to have it alone`);
          continue;
        }
        const wantedCount = ROUND_COUNTS[options.mode];
        const result = await runCell(cell, {
          sides,
          wantedCount,
          endsAtMs,
          tell: (line) => console.error(line),
        });
        if (result.problem !== undefined || result.rounds.length === 0) hasAll = false;
        console.log(["", ...cellLines(judgeCell(result, options.as))].join("\n"));
        writeCell({ header, cell: result });
      }
    }
  } finally {
    process.off("SIGINT", breakOff).off("SIGTERM", breakOff);
    rmSync(folder, { recursive: true, force: true });
  }
  return hasAll;
}

try {
  if (!await run(parseArguments(process.argv.slice(2), Object.keys(ROWS)))) process.exitCode = 1;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
