import { setTimeout as delay } from "node:timers/promises";

/** Wait until `isSo()`; gives up after `limitMs` (default 15 s) with `what` it waited for. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string | (() => string),
  { limitMs = 15_000 }: { limitMs?: number } = {},
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!await isSo()) {
    if (performance.now() > end) {
      throw new Error(`waited ${limitMs} ms for ${typeof what === "string" ? what : what()}`);
    }
    await delay(3);
  }
}
