/** A reader that takes its time. */
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("./late_reader.py", import.meta.url));

/**
 * Words that run `command` with a non-blocking pipe as standard output, of which nothing is read before the program has
 * been writing for so many seconds, or has ended; what came through is their own output.
 */
export function lateReader(
  command: readonly string[],
  { seconds }: { seconds: number },
): readonly [string, ...string[]] {
  return ["python3", script, `${seconds}`, ...command];
}
