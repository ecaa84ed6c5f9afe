/** Replication and restore through every fault of a line or a server: seconds of each, a minute in a full run. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { recordFigure } from "../figures.ts";
import { isExecutableUnderTest } from "../program.ts";
import { runScript } from "../script.ts";
import { type Fault, type FaultProxy, type SeenRequest, startFaultProxy } from "../servers/fault_proxy.ts";
import { isFullRun } from "../full_run.ts";
import { oncePerFile } from "../servers/once.ts";
import { startMinio } from "../servers/s3_servers.ts";
import { startToxiproxy, type Toxic } from "../servers/toxiproxy.ts";
import { carryByCommands } from "./s3_carry_by_commands.ts";
import type { Carried, CarryThrough } from "./s3_carry_through.ts";

const MB = 1e6;
const FAULT_MS = isFullRun() ? 60_000 : 800;
/** Of the process, beyond what it had when the fault began; the runtimes' own collectors are in it. */
const FLAT_BYTES = (isExecutableUnderTest() ? 80 : 150) * MB;

/** No key of a configuration makes the half minute shorter that walbrook waits: only in a full run is it outlasted. */
const LATE_MS = isExecutableUnderTest() && isFullRun() ? 31_000 : 450;

/** The script's patience is too short for a machine that its own likes keep busy; an executable waits half minutes. */
const LANE_COUNT = isExecutableUnderTest() ? 5 : 1;

// Before the servers stop: a test that fails leaves the others under way.
after(() => Promise.allSettled(ends?.values() ?? []));
const server = oncePerFile(() => startMinio());
const toxiproxy = oncePerFile(() => startToxiproxy());

const error = (code: string) => `<Error><Code>${code}</Code><Message>${code}</Message></Error>`;

/** Each request is hit by one of these the first time it is sent. */
const FAULTS: readonly (readonly [string, readonly Fault[]])[] = [
  ["bursts of 429, 500 and 503", [
    { act: "answer", status: 503, body: error("SlowDown") },
    { act: "answer", status: 429, headers: { "retry-after": "0" } },
    { act: "answer", status: 500 },
  ]],
  ["lost answers", [{ act: "lose-answer" }]],
  ["dropped connections", [{ act: "drop" }]],
  ["bodies that are damaged on the way", [
    { act: "corrupt", which: "request" },
    { act: "corrupt", which: "response" },
  ]],
  ["answers cut at a byte", [
    { act: "cut", after: 10, how: "close" },
    { act: "cut", after: 0, how: "close" },
  ]],
  ["truncated listings and objects", [{ act: "body", change: (text) => text.slice(0, text.length >> 1) }]],
  ["stalls", [{ act: "cut", after: 10, how: "stall" }, { act: "silence" }]],
  ["credentials that have expired", [{ act: "answer", status: 400, body: error("ExpiredToken") }]],
  ["requests carried out twice", [{ act: "twice" }]],
  ["late requests and late answers", [
    { act: "delay", beforeMs: LATE_MS },
    { act: "delay", afterMs: LATE_MS },
  ]],
];

/** What a line does to everything, or to a share of its connections. */
const TOXICS: readonly (readonly [string, Toxic])[] = [
  ["latency", { type: "latency", attributes: { latency: 60, jitter: 30 } }],
  ["a narrow line", { type: "bandwidth", attributes: { rate: 300 } }],
  ["a narrow line up", { type: "bandwidth", stream: "upstream", attributes: { rate: 300 } }],
  ["resets", { type: "reset_peer", toxicity: 0.3, attributes: { timeout: 20 } }],
  ["connections cut at byte 700", { type: "limit_data", toxicity: 0.3, attributes: { bytes: 700 } }],
];

/** Half a minute of silence for each request is too long for a short run of the executable: one segment meets it. */
function hitFirstSegment(fault: Fault): NonNullable<FaultProxy["fault"]> {
  let isLeft = true;
  return ({ method, path }) => {
    if (!isLeft || method !== "PUT" || !path.includes("/wal/")) return undefined;
    isLeft = false;
    return fault;
  };
}

function hitOnce(faults: readonly Fault[]): NonNullable<FaultProxy["fault"]> {
  const hit = new Set<string>();
  return ({ method, path, headers, kind }: SeenRequest) => {
    // Listings have no checksum: another key in one is a gap that restore names, and TLS is what prevents it.
    if (kind === "LIST" && faults.some(({ act }) => act === "corrupt")) return undefined;
    const request = `${method} ${path} ${headers["range"]}`;
    if (hit.has(request)) return undefined;
    hit.add(request);
    return faults[hit.size % faults.length];
  };
}

/** Replicate by way of `endpoint` for the time of a fault, then restore that way, and compare. */
async function carryThrough(
  name: string,
  { endpoint, largeRowBytes = 200 }: { endpoint: string; largeRowBytes?: number },
): Promise<void> {
  const path = `faults/${name.replaceAll(" ", "-")}`;
  const told: CarryThrough = { endpoint, path, writeMs: FAULT_MS };
  const { roundCount, grownBy, most } = isExecutableUnderTest()
    ? await carryByCommands({ ...told, largeRowBytes, bucketPath: (await server()).bucketPath })
    : await runScript<Carried>("tests/interop/s3_carry_through.ts", { words: [JSON.stringify(told)] });
  const [grownMb, mostMb] = [grownBy, most].map((bytes) => Math.round(bytes / MB));
  if (isFullRun()) {
    const isOfExecutable = isExecutableUnderTest();
    const who = isOfExecutable ? ", the executable" : "";
    const found = `${roundCount} uploads, ${grownMb} MB more, ${mostMb} MB at most`;
    recordFigure(`a minute of ${name}${who}`, found, { isOfExecutable });
  }
  assert.ok(grownBy < FLAT_BYTES, `${grownMb} MB more than before`);
}

async function carryThroughFaults(name: string, faults: readonly Fault[]): Promise<void> {
  const proxy = await startFaultProxy({ upstreamPort: (await server()).port });
  try {
    const isShort = isExecutableUnderTest() && !isFullRun();
    const silence = faults.find(({ act }) => act === "silence");
    proxy.fault = isShort && silence !== undefined ? hitFirstSegment(silence) : hitOnce(faults);
    // Two parts. A narrow line would take its time for them, and a silence for each is two minutes.
    const isSilent = faults.some(({ act }) => act === "silence" || act === "delay");
    await carryThrough(name, { endpoint: proxy.endpoint, ...(isSilent ? {} : { largeRowBytes: 6 * MB }) });
  } finally {
    await proxy.stop();
  }
}

async function carryThroughToxic(name: string, toxic: Toxic): Promise<void> {
  const line = await (await toxiproxy()).open({ upstreamPort: (await server()).port });
  await line.add(toxic);
  await carryThrough(name, { endpoint: `http://127.0.0.1:${line.port}` });
}

const CASES: readonly (readonly [string, () => Promise<void>])[] = [
  ...FAULTS.map(([name, faults]) => [name, () => carryThroughFaults(name, faults)] as const),
  ...TOXICS.map(([name, toxic]) => [name, () => carryThroughToxic(name, toxic)] as const),
];

/** What each case comes to, once they have begun. */
let ends: ReadonlyMap<string, Promise<void>> | undefined;

/** Start all cases, some at once. */
function begin(): ReadonlyMap<string, Promise<void>> {
  const lanes = Array.from({ length: LANE_COUNT }, () => Promise.resolve());
  return new Map(CASES.map(([name, run], at) => {
    const end = lanes[at % LANE_COUNT]!.then(run);
    lanes[at % LANE_COUNT] = end.catch(() => {});
    return [name, end];
  }));
}

for (const [name] of CASES) {
  test(`a replica in S3 loses nothing through ${name}`, () => (ends ??= begin()).get(name));
}
