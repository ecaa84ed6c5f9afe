/** Processes that die, freeze, or are there twice. */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { DEADLY_CALLS } from "../shim.ts";
import { type Fault, waitFor } from "./fault.ts";

const HOUR_MS = 3_600_000;

/** Faults of a round that is not one of the test's short ones. */
const LONG_MS = 20_000;

/** The longest that two walbrooks may both believe that the database is theirs. */
const BOTH_LIMIT_MS = 10_000;

export const PROCESS_FAULTS: readonly Fault[] = [
  {
    name: "kill-walbrook",
    isExclusive: false,
    async run(scene) {
      scene.tally.kills.add("walbrook");
      scene.follower.kill();
      await waitFor(scene, [0, 1500]);
    },
  },
  {
    name: "walbrook-away",
    isExclusive: true,
    async run({ follower, tally, chance }) {
      tally.kills.add("walbrook");
      await follower.killAndHold();
      await delay(chance.between([200, 3000]));
      follower.start();
    },
  },
  {
    name: "restart-walbrook",
    isExclusive: true,
    async run(scene) {
      const { follower, replicas } = scene;
      const newest = scene.newestCommit();
      // Only an end without error is a promise.
      if (await follower.stop() === 0 && newest !== undefined) {
        for (const replica of replicas) if (!replica.isSpoiled) scene.raiseFloor(replica, newest);
      }
      follower.start();
    },
  },
  {
    name: "freeze-walbrook",
    isExclusive: false,
    async run(scene) {
      const wake = scene.follower.freeze();
      const isLong = scene.chance.happens(0.1);
      // A whole minute takes longer than all other faults of its round.
      const isMinute = isLong && scene.longestMs >= LONG_MS && scene.chance.happens(0.3);
      await waitFor(scene, isMinute ? [60_000, 60_000] : isLong ? [4000, scene.longestMs] : [100, 4000]);
      wake();
    },
  },
  {
    name: "kill-application",
    isExclusive: false,
    run({ applications, tally }) {
      tally.kills.add("application");
      applications.killOne();
      return Promise.resolve();
    },
  },
  {
    name: "kill-application-at-call",
    isExclusive: false,
    run({ applications, chance, tally }) {
      tally.kills.add("application at a system call");
      const calls = Object.keys(DEADLY_CALLS) as (keyof typeof DEADLY_CALLS)[];
      applications.killAtCall(chance.pick(calls), 1 + chance.below(chance.pick([20, 300, 3000])));
      return Promise.resolve();
    },
  },
  {
    name: "kill-both",
    isExclusive: false,
    async run(scene) {
      scene.tally.kills.add("walbrook and all applications");
      scene.follower.kill();
      scene.applications.killAll();
      await waitFor(scene, [0, 1000]);
    },
  },
  {
    name: "freeze-application",
    isExclusive: false,
    async run(scene) {
      const wake = scene.applications.freezeOne();
      await waitFor(scene, [100, 3000]);
      wake();
    },
  },
  {
    name: "two-walbrooks",
    isExclusive: true,
    async run(scene) {
      const { follower, folder } = scene;
      const startedMs = performance.now();
      const logPath = `${folder}/second-walbrook-${Math.round(startedMs)}.log`;
      const logged = follower.log().length - 1;
      const second = follower.spawn(logPath);
      const code = await Promise.race([second.ended, delay(BOTH_LIMIT_MS, "still there" as const)]);
      if (code === "still there" && follower.uptimeMs > performance.now() - startedMs) {
        // On a full disk neither can lock it; and one whose lock was removed just before waits for the other.
        const isOutOfRoom = /waiting for the database.* is full/.test(readFileSync(logPath, "utf8"));
        const isWaiting = follower.log().slice(logged).some((line) =>
          /waiting for the database.*another walbrook/.test(line)
        );
        if (!isOutOfRoom && !isWaiting) scene.problem("two walbrooks follow one database");
      }
      await second.kill();
      if (code === 0) scene.problem("a second walbrook ended without an error");
    },
  },
  {
    name: "clock-jump",
    isExclusive: false,
    async run(scene) {
      scene.hasMovedClock = true;
      scene.follower.shim.moveClock(scene.chance.between([-5, 5]) * HOUR_MS);
      await waitFor(scene, [500, 3000]);
      scene.follower.shim.moveClock(0);
    },
  },
];
