import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

const SRC = new URL("../../src/", import.meta.url).href;

const SCRIPT = `
import { isLocalTimeUtc } from "${SRC}runtime/time_zone.ts";
import { createLogger } from "${SRC}cli/logger.ts";
const lines = [];
for (const type of ["text", "default", "json"]) {
  const now = () => new Date(Date.UTC(2026, 6, 1, 23, 5, 9, 70));
  createLogger({ type, now, write: (line) => lines.push(line) }).info("m", { at: now() });
}
console.log(JSON.stringify({ isUtc: isLocalTimeUtc(), lines }));
`;

function underZone(zone: string): { isUtc: boolean; lines: string[] } {
  using folder = temporaryFolder();
  const path = join(folder.path, "script.mjs");
  writeFileSync(path, SCRIPT);
  const args = process.versions["bun"] === undefined ? ["run", "-A", "--no-config", path] : [path];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    env: { ...process.env, TZ: zone },
    timeout: 20_000,
  });
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout) as { isUtc: boolean; lines: string[] };
}

function linesAt(day: string, time: string, zone: string): string[] {
  const slashes = day.replaceAll("-", "/");
  return [
    `time=${day}T${time}.070${zone} level=INFO msg=m at=${day}T${time}.070${zone}\n`,
    `${slashes} ${time} INFO m at=${day}T${time}.070${zone}\n`,
    `{"time":"${day}T${time}.07${zone}","level":"INFO","msg":"m","at":"${day}T${time}.07${zone}"}\n`,
  ];
}

test("isLocalTimeUtc() is true on Bun for UTC by its names alone, and the log says the same time either way", () => {
  const utc = linesAt("2026-07-01", "23:05:09", "Z");
  const isUtc = process.versions["bun"] !== undefined;
  assert.deepEqual(underZone("UTC"), { isUtc, lines: utc });
  assert.deepEqual(underZone("Etc/UTC"), { isUtc, lines: utc });
  assert.deepEqual(underZone("Etc/GMT"), { isUtc: false, lines: utc });
  assert.deepEqual(underZone("Europe/Berlin"), {
    isUtc: false,
    lines: linesAt("2026-07-02", "01:05:09", "+02:00"),
  });
  assert.deepEqual(underZone("America/New_York").lines, linesAt("2026-07-01", "19:05:09", "-04:00"));
});
