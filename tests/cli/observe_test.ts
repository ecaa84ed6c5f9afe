import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { observe } from "../../src/cli/observe.ts";
import { silentLogger } from "../../src/logger.ts";
import { silentMetrics } from "../../src/metrics.ts";

test("observe() counts nothing without an addr", async () => {
  for (const addr of [undefined, ""]) {
    const { metrics, watch } = await observe({ addr, logger: silentLogger });
    assert.equal(metrics, silentMetrics);
    await using _ = await watch([]);
  }
});

test("observe() refuses an addr without a port before anything is made (109)", async () => {
  await assert.rejects(observe({ addr: "localhost", logger: silentLogger }), { name: "UsageError" });
});

test("src/serve is loaded only where it is used", () => {
  const root = new URL("../../src/", import.meta.url);
  const importers = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.startsWith("serve"))
    .filter((path) => /from\s+"[^"]*\/serve\//.test(readFileSync(new URL(path, root), "utf8")));
  assert.deepEqual(importers, []);
});
