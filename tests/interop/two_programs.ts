/** The same words given to Litestream 0.3.13 and to walbrook, and what is to be compared of what they do. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileHash } from "../builders/replica_builder.ts";
import { litestreamPath } from "../litestream.ts";
import { testedProgram } from "../program.ts";

/** What a run showed, without names, times and usage texts. */
export interface Showing {
  readonly code: number | null;
  /** The message of the failure. */
  readonly error: string | undefined;
  /** Where the failure was told. */
  readonly errorStream: "stdout" | "stderr" | undefined;
  /** Standard output without log records; a usage text is the word `usage`. */
  readonly output: string;
  /** Messages of log records that are no failure, each once, without those of single WAL files. */
  readonly log: readonly string[];
  /** Messages of log records of single WAL files. */
  readonly walLog: readonly string[];
  /** The hash of what was restored. */
  readonly restored: string | undefined;
  /** What else lies beside it. */
  readonly leftovers: readonly string[];
}

/** One of the things that can differ. */
export type Facet = keyof Showing;

/** The facets in the order in which they are told. */
export const FACETS: readonly Facet[] = [
  "code",
  "error",
  "errorStream",
  "output",
  "log",
  "walLog",
  "restored",
  "leftovers",
];

/** What stands for the folder of outputs, which each program has for itself. */
export const OUT = "OUT";

/** The output of a restore, in that folder. */
export const RESTORED = "out.db";

/** A command line for both programs. */
export interface Request {
  /** `OUT` in them is the folder of outputs. */
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Files that are in the folder of outputs before. */
  readonly existing?: readonly string[] | undefined;
  /** Where the folders of outputs are made. */
  readonly folder: string;
}

/** Both programs, one after the other. */
export async function bothShow(request: Request): Promise<{ litestream: Showing; walbrook: Showing }> {
  const { command, options } = testedProgram();
  return {
    litestream: await show("litestream", [litestreamPath()], request),
    walbrook: await show("walbrook", command, {
      ...request,
      env: { ...options.env as object, ...request.env },
    }),
  };
}

async function show(
  name: string,
  [path, ...words]: readonly [string, ...string[]],
  { args, env, existing = [], folder }: Request,
): Promise<Showing> {
  const out = join(folder, name);
  mkdirSync(out);
  for (const file of existing) writeFileSync(join(out, file), "was here before");
  const child = spawn(path, [...words, ...args.map((word) => word.replaceAll(OUT, out))], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
    cwd: folder,
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text) => stderr += text);
  const [code] = await once(child, "close") as [number | null];
  const lines = (text: string) => text.split("\n").map((line) => line.replaceAll(out, OUT));
  const [outputLines, errorLines] = [lines(stdout), lines(stderr)];
  const errorStream = outputLines.some(isFailure)
    ? "stdout"
    : errorLines.some(isFailure)
    ? "stderr"
    : undefined;
  const failure = [...outputLines, ...errorLines].find(isFailure);
  const messages = [...new Set([...outputLines, ...errorLines].flatMap(messageOf))];
  return {
    code,
    error: failure === undefined ? undefined : failureText(failure),
    errorStream,
    output: outputOf(outputLines),
    log: messages.filter((text) => !WAL_MESSAGES.includes(text)),
    walLog: messages.filter((text) => WAL_MESSAGES.includes(text)),
    restored: existsSync(join(out, RESTORED)) ? fileHash(join(out, RESTORED)) : undefined,
    leftovers: readdirSync(out).filter((file) => file !== RESTORED).sort(),
  };
}

const LITESTREAM_FAILURE = /failed to run"? error=("(?:[^"\\]|\\.)*"|\S+)/;
const WALBROOK_FAILURE = /^walbrook \S*: (.*)$/;

function isFailure(line: string): boolean {
  return LITESTREAM_FAILURE.test(line) || WALBROOK_FAILURE.test(line);
}

function failureText(line: string): string {
  const ours = WALBROOK_FAILURE.exec(line)?.[1];
  if (ours !== undefined) return ours;
  const theirs = LITESTREAM_FAILURE.exec(line)![1]!;
  return (theirs.startsWith('"') ? JSON.parse(theirs) as string : theirs).replace(/^litestream \S+: /, "");
}

const WAL_MESSAGES: readonly string[] = ["downloaded wal", "applied wal"];

const RECORD = /^time=\S+ level=(\w+) msg=("(?:[^"\\]|\\.)*"|\S+)/;
const PLAIN_RECORD = /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d (\w+) (.*?)(?: [\w-]+=.*)?$/;

function messageOf(line: string): string[] {
  const [, , text] = RECORD.exec(line) ?? PLAIN_RECORD.exec(line) ?? [];
  if (text === undefined || isFailure(line)) return [];
  return [text.startsWith('"') ? JSON.parse(text) as string : text];
}

function outputOf(lines: readonly string[]): string {
  const kept = lines.filter((line) => !RECORD.test(line)).join("\n");
  return /^Usage:$/m.test(kept) ? "usage" : kept;
}
