/** Another walbrook on the same database. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { Stage } from "./stage.ts";
import { currentRuntime } from "../figures.ts";

/** Another process that follows the database; when it does, the file `ready` has its line. */
export function followElsewhere(stage: Stage) {
  const readyPath = `${stage.folder}/ready`;
  const program = fileURLToPath(new URL("./follow_program.ts", import.meta.url));
  const words = [
    process.execPath,
    ...(currentRuntime() === "deno" ? ["run", "-A"] : []),
    program,
    stage.path,
  ];
  const child = spawn("sh", ["-c", 'exec "$@" > "$0"', readyPath, ...words], { stdio: "inherit" });
  const ended = once(child, "close");
  return {
    /** Once it has ended; null for a signal. */
    ended: ended.then(([code]) => code as number | null),
    isReady: () => existsSync(readyPath) && readFileSync(readyPath, "utf8") !== "",
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
