/** What `/metrics` says, taken apart; that it is well-formed is for `promtool` to say. */
import { spawnSync } from "node:child_process";
import assert from "node:assert/strict";

/** What stands in a text of Prometheus' format. */
export interface Exposition {
  /** Type by name, of all metrics, those without a series too. */
  readonly types: ReadonlyMap<string, string>;
  /** Values by `name{label="value",…}`, labels as they stand. */
  readonly values: ReadonlyMap<string, number>;
}

/** Take a text apart. */
export function parseExposition(text: string): Exposition {
  const types = new Map<string, string>();
  const values = new Map<string, number>();
  for (const line of text.split("\n")) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) types.set(type[1]!, type[2]!);
    else if (line !== "" && !line.startsWith("#")) {
      const at = line.lastIndexOf(" ");
      values.set(line.slice(0, at), Number(line.slice(at + 1)));
    }
  }
  return { types, values };
}

/** Have Prometheus' own parser read `text`; returns what its linter would have otherwise. */
export function lintExposition(text: string): string[] {
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], {
    input: text,
    encoding: "utf8",
  });
  // 3: it could be read, and the linter has something to say.
  assert.ok(status === 0 || status === 3, `promtool: ${stdout}${stderr}`);
  return stderr.split("\n").filter((line) => line !== "");
}
