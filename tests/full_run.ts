/** `deno task test --full`: a third S3 server, a minute of each fault instead of seconds, every failing call, more power cuts. */
import process from "node:process";

/** Set by the runner for a long run. */
export const FULL_RUN_VARIABLE = "WALBROOK_TEST_FULL";

/** Whether this is a long run. */
export function isFullRun(): boolean {
  return process.env[FULL_RUN_VARIABLE] === "1";
}
