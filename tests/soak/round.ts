/** One round: everything starts, things go wrong, things are mended, and all is judged. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { readAll } from "../../src/bytes.ts";
import type { Fault } from "./faults/fault.ts";
import { judgeRound, type Thoroughness } from "./judgement.ts";
import { probe } from "./probe.ts";
import { Scene, type SceneOptions } from "./scene.ts";
import { measureWindow } from "./window.ts";

/** What a round takes beside its scene. */
export interface RoundOptions extends SceneOptions, Thoroughness {
  readonly faults: readonly Fault[];
  /** Fewer are not enough, however long that takes: one alone can last a third of a short round. Default 0. */
  readonly leastFaultCount?: number;
  /** The same for commits. Default 0. */
  readonly leastCommitCount?: number;
  /** Looks at each replica before anything goes wrong. */
  readonly lookCount: number;
}

/** So long is waited for them. */
const LEAST_LIMIT_MS = 180_000;

/** Calm before the first fault and after the last one. */
const CALM_MS = 800;

/** Non-exclusive faults at once. */
const MOST_AT_ONCE = 3;

/** Play a round; problems go to the tally. Its folder stays when there are any. */
export async function playRound(options: RoundOptions): Promise<void> {
  const { tally } = options;
  const problemsBefore = tally.problems.length;
  {
    await using scene = await Scene.open(options);
    scene.applications.start();
    await delay(scene.chance.between([0, 300]));
    scene.follower.start();
    try {
      await delay(CALM_MS);
      await measureWindow(scene, options);
      await letGoWrong(scene, options);
      scene.makeRoom();
      await delay(CALM_MS);
      await judgeRound(scene, options);
    } catch (error) {
      scene.problem(`the round broke off: ${error instanceof Error ? error.stack : error}`);
    }
    if (tally.problems.length > problemsBefore) await keepEvidence(scene);
    scene.ledger.read();
    tally.rounds++;
    tally.commits += scene.ledger.acknowledgedCount;
    for (const line of scene.follower.log()) {
      const reason = /new generation.*reason="?([^"]*)/.exec(line)?.[1];
      if (reason !== undefined) {
        tally.generations.add(reason.replace(/[0-9a-f]{8,}/g, "…").replace(/\d+/g, "N"));
      }
    }
  }
  if (tally.problems.length === problemsBefore) rmSync(options.folder, { recursive: true, force: true });
}

async function letGoWrong(
  scene: Scene,
  { faults, faultMs, leastFaultCount = 0, leastCommitCount = 0 }: RoundOptions,
): Promise<void> {
  const { chance, tally, ledger } = scene;
  const startMs = performance.now();
  const endMs = startMs + faultMs;
  const isEnough = (count: number) => {
    ledger.read();
    return count >= leastFaultCount && ledger.acknowledgedCount >= leastCommitCount;
  };
  const isOver = (count: number) => {
    const now = performance.now();
    return now >= endMs && (isEnough(count) || now >= startMs + LEAST_LIMIT_MS);
  };
  const running = new Set<Promise<void>>();
  // A replica is looked at while everything goes on.
  const probing = probeUntil(scene, endMs);
  for (let count = 0; !isOver(count); count++) {
    const fault = chance.pick(faults);
    if (fault.isExclusive || running.size >= MOST_AT_ONCE) await Promise.all(running);
    tally.faults.add(fault.name);
    const run = scene.during(fault.name, () => fault.run(scene))
      .catch((error) =>
        scene.problem(`${fault.name} broke off: ${error instanceof Error ? error.stack : error}`)
      );
    if (fault.isExclusive) await run;
    else {
      const kept = run.finally(() => running.delete(kept));
      running.add(kept);
    }
    await delay(chance.pick([0, 50, 300, 1500]) * chance.between([0, 1]));
  }
  await Promise.all(running);
  await probing;
}

async function probeUntil(scene: Scene, endMs: number): Promise<void> {
  while (performance.now() < endMs) {
    for (const replica of scene.replicas) await probe(scene, replica);
    await delay(1000);
  }
}

/** What is in a server that ends with the campaign. */
async function keepEvidence({ replicas, folder }: Scene): Promise<void> {
  for (const { place, client } of replicas) {
    if (place.type !== "s3") continue;
    for await (const { key } of client.store.list("")) {
      const path = join(folder, "s3-kept", key);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, await readAll(await client.store.get(key), { limit: 1 << 30 }));
    }
  }
}
