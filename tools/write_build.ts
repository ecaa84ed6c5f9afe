/**
 * Writes what one executable is compiled from: `write_build.ts FOLDER TARGET COMMIT RUNTIME`.
 *
 * `FOLDER/entry.ts` starts the program with its build stamped in, `FOLDER/notices.ts` holds the licences of what is
 * inside, `FOLDER/THIRD_PARTY_NOTICES.txt` the same as text. `compile.sh` calls this.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { collectNotices, type Runtime } from "./notices.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const [folder, target, commit, runtime] = process.argv.slice(2) as [string, string, string, Runtime];

const list = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  dependencies?: Record<string, string>;
};
const notices = collectNotices({ root, runtime, packages: Object.keys(list.dependencies ?? {}) });
const main = join(relative(folder, root), "src/cli/main.ts").replaceAll("\\", "/");
writeFileSync(
  join(folder, "entry.ts"),
  `import { runProgram } from ${JSON.stringify(main)};

void runProgram({
  commit: ${commit === "" ? "undefined" : JSON.stringify(commit)},
  target: ${JSON.stringify(target)},
  loadNotices: async () => (await import("./notices.ts")).NOTICES,
});
`,
);
writeFileSync(join(folder, "notices.ts"), `export const NOTICES = ${JSON.stringify(notices)};\n`);
writeFileSync(join(folder, "THIRD_PARTY_NOTICES.txt"), notices);
