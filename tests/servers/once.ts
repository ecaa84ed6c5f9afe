import { after } from "node:test";

/** A server for all tests of a file: started by the first one that asks, stopped after the last. */
export function oncePerFile<T extends { stop(): Promise<void> }>(start: () => Promise<T>): () => Promise<T> {
  let started: Promise<T> | undefined;
  after(async () => {
    const running = started;
    started = undefined;
    await (await running?.catch(() => undefined))?.stop();
  });
  return () => started ??= start();
}
