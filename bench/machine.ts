/** What the header says about the machine and the programs. */
import { spawnSync } from "node:child_process";
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { describeKnobs } from "./place.ts";
import { root } from "./process.ts";
import type { Header, Mode, SideName } from "./result.ts";
import type { Side } from "./runner.ts";

/** Megabytes a second of one durable write of 256 MB. */
function durableSpeed(folder: string): number {
  const path = join(folder, "durable-write");
  const block = crypto.getRandomValues(new Uint8Array(65_536));
  const file = openSync(path, "w");
  const startMs = performance.now();
  for (let at = 0; at < 256e6; at += block.length) writeSync(file, block);
  fsyncSync(file);
  const seconds = (performance.now() - startMs) / 1000;
  closeSync(file);
  rmSync(path);
  return 256 / seconds;
}

function firstLines(words: readonly string[], count: number): string {
  const [program, ...args] = words;
  const { stdout } = spawnSync(program!, args, { cwd: root, encoding: "utf8" });
  return (stdout ?? "").trim().split("\n").slice(0, count).join(", ");
}

/** The header of a run that begins now. */
export function makeHeader(options: {
  readonly sides: readonly Side[];
  readonly mode: Mode;
  readonly as: string;
  readonly isDefaults: boolean;
  readonly folder: string;
}): Header {
  const { sides, mode, as, isDefaults, folder } = options;
  const programs: Partial<Record<SideName, string>> = {};
  for (const { name, program } of sides) {
    const version = firstLines([...program.words, "version"], 3);
    programs[name] = version === "" ? program.name : `${program.name} (${version})`;
  }
  const changes = firstLines(["git", "status", "--porcelain"], 1);
  const [processor] = cpus();
  return {
    startedAt: new Date().toISOString(),
    mode,
    as,
    isDefaults,
    programs,
    commit: firstLines(["git", "rev-parse", "--short=12", "HEAD"], 1) +
      (changes === "" ? "" : " with changes"),
    machine: `${cpus().length} cores of ${processor?.model.trim() ?? "an unknown processor"}, ${
      (totalmem() / 1e9).toFixed(0)
    } GB, Linux ${release()}, durable write ${durableSpeed(folder).toFixed(0)} MB/s`,
    knobs: describeKnobs(isDefaults),
  };
}
