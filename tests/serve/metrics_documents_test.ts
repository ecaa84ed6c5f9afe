/** docs/METRICS.md, docs/alerts.yml and docs/grafana-dashboard.json tell of the metrics that there are. */
import { test } from "node:test";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { METRIC_FACTS } from "../../src/serve/metric_facts.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const pathOf = (name: string) => fileURLToPath(new URL(`../../docs/${name}`, import.meta.url));
const textOf = (name: string) => readFileSync(pathOf(name), "utf8");

/** Names of metrics in `text` that there are not. */
function unknownNames(text: string): string[] {
  const known = new Set(METRIC_FACTS.map(({ name }) => name));
  const found = text.match(/\b(?:litestream|walbrook)_[a-z_]+/g) ?? [];
  assert.ok(found.length > 0, "no metric is named");
  return found.filter((name) => !known.has(name));
}

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly instant?: boolean }[];
}

test("docs/METRICS.md lists exactly the metrics of the registry, with type and labels", () => {
  const rows = [
    ...textOf("METRICS.md").matchAll(/^\| `((?:litestream|walbrook)_\w+)` *\| (\w+) *\| ([^|]*?) *\|/gm),
  ];
  assert.deepEqual(
    rows.map(([, name, type, labels]) => ({ name, type, labels })),
    METRIC_FACTS.map(({ name, type, labels }) => ({
      name,
      type,
      labels: labels.map((label) => `\`${label}\``).join(", "),
    })),
  );
});

test("docs/grafana-dashboard.json shows every metric, and none that there isn't", () => {
  const text = textOf("grafana-dashboard.json");
  const { panels } = JSON.parse(text) as { panels: Panel[] };
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)).join("\n");
  assert.deepEqual(unknownNames(text.replaceAll('"uid": "walbrook"', "")), []);
  const unseen = METRIC_FACTS.filter(({ name }) => !new RegExp(`\\b${name}\\b`).test(expressions));
  assert.deepEqual(unseen.map(({ name }) => name), []);
});

test("docs/grafana-dashboard.json has expressions that Prometheus understands", () => {
  const { panels } = JSON.parse(textOf("grafana-dashboard.json")) as { panels: Panel[] };
  using folder = temporaryFolder();
  const path = join(folder.path, "rules.yml");
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  // A rule of each, since promtool knows rules alone; JSON is YAML too.
  const rules = expressions.map((expr, at) => ({
    record: `r:${at}`,
    expr: expr.replaceAll("$__rate_interval", "5m"),
  }));
  writeFileSync(path, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  assert.ok(expressions.length > 15);
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "rules", path], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
});

test("docs/grafana-dashboard.json makes no number up for a walbrook that is dead, and shows that it is", () => {
  const { panels } = JSON.parse(textOf("grafana-dashboard.json")) as { panels: Panel[] };
  const targets = panels.filter(({ type }) => type === "stat").flatMap(({ targets = [] }) => targets);
  assert.deepEqual(targets.filter(({ expr }) => /\bvector\(/.test(expr)).map(({ expr }) => expr), []);
  // Over a range the last number of a time when it lived would stand there.
  assert.deepEqual(targets.filter(({ instant }) => instant !== true).map(({ expr }) => expr), []);
  assert.ok(targets.some(({ expr }) => /\bup\{/.test(expr)));
});

test("docs/alerts.yml names metrics that there are, in rules that Prometheus takes", () => {
  assert.deepEqual(unknownNames(textOf("alerts.yml")), []);
  const { status, stdout, stderr } = spawnSync("promtool", ["check", "rules", pathOf("alerts.yml")], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout + stderr);
});

for (const name of ["alerts_test.yml", "alerts_of_days_test.yml"]) {
  test(`docs/alerts.yml raises its alarms when ${name} says`, () => {
    using folder = temporaryFolder();
    const path = join(folder.path, name);
    const cases = readFileSync(new URL(name, import.meta.url), "utf8");
    writeFileSync(path, cases.replace("RULES", JSON.stringify(pathOf("alerts.yml"))));
    const { status, stdout, stderr } = spawnSync("promtool", ["test", "rules", path], { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
  });
}

test("every metric that the sources name is in the registry", () => {
  const root = new URL("../../src/", import.meta.url);
  const known = new Set(METRIC_FACTS.map(({ name }) => name));
  const named = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .flatMap((path) =>
      readFileSync(new URL(path, root), "utf8").match(/"(?:litestream|walbrook)_[a-z_]+"/g) ?? []
    )
    .map((quoted) => quoted.slice(1, -1));
  assert.ok(named.length > METRIC_FACTS.length);
  assert.deepEqual(named.filter((name) => !known.has(name)), []);
});
