/** What Litestream 0.3.13 itself makes of a configuration file. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(
  new URL("../../node_modules/@flydotio/litestream-linux-x64/litestream", import.meta.url),
);

/** Exit code and everything it wrote. */
export interface LitestreamRun {
  readonly code: number | null;
  readonly output: string;
}

function run(args: readonly string[], environment: Readonly<Record<string, string>>): LitestreamRun {
  const { status, stdout, stderr } = spawnSync(PROGRAM, args, {
    encoding: "utf8",
    env: { PATH: "/usr/bin:/bin", HOME: "/home/app", ...environment },
    timeout: 60_000,
  });
  return { code: status, output: stdout + stderr };
}

/** `litestream databases` with the file at `path`. */
export function litestreamDatabases(
  path: string,
  environment: Readonly<Record<string, string>>,
): LitestreamRun {
  return run(["databases", "-config", path], environment);
}

/** The facts of each replica that `litestream replicate` logs before its child, which does nothing, ends it. */
export function litestreamReplicas(
  path: string,
  environment: Readonly<Record<string, string>>,
): Record<string, string>[] {
  const { output } = run(["replicate", "-exec", "true", "-config", path], environment);
  return output.split("\n").map(fieldsOf).filter(({ msg }) => msg === "replicating to");
}

/** The fields of a record in either of its formats; durations as Go writes them or in nanoseconds. */
function fieldsOf(line: string): Record<string, string> {
  if (line.startsWith("{")) {
    return Object.fromEntries(
      Object.entries(JSON.parse(line) as Record<string, unknown>).map(([key, value]) => [key, String(value)]),
    );
  }
  const fields: Record<string, string> = {};
  for (const [, key, quoted, bare] of line.matchAll(/([\w-]+)=(?:("(?:[^"\\]|\\.)*")|(\S*))/g)) {
    fields[key!] = quoted === undefined ? bare! : JSON.parse(quoted) as string;
  }
  return fields;
}
