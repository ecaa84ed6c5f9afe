/** The thread that compresses beside ours: the same bytes, also where it can't be had or fails. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, readAll } from "../../src/bytes.ts";
import { encodeObject, encodeObjectBytes, type EncodeOptions } from "../../src/codec/object.ts";
import { yieldToEvents } from "../../src/runtime/clock.ts";
import { MIB, noise, pages, text } from "../codec/samples.ts";
import { useCompressionThread } from "../../src/replicate/compression_thread.ts";

const RealWorker = globalThis.Worker;

/** Threads that are started from now on, and blocks that they are given, until it is disposed of. */
class WatchedWorkers implements Disposable {
  started = 0;
  running = 0;
  blocks = 0;
  /** What becomes of a thread's first message. Default: it is passed on. */
  onBlock: ((worker: Worker) => void) | undefined;

  constructor() {
    // deno-lint-ignore no-this-alias -- the class below has a `this` of its own
    const watch = this;
    globalThis.Worker = class {
      constructor(...args: ConstructorParameters<typeof Worker>) {
        const worker = new RealWorker(...args);
        const [post, terminate] = [worker.postMessage.bind(worker), worker.terminate.bind(worker)];
        watch.started++;
        watch.running++;
        worker.postMessage = (...message: unknown[]) => {
          watch.blocks++;
          if (watch.onBlock === undefined) post(...message as Parameters<typeof post>);
          else watch.onBlock(worker);
        };
        worker.terminate = () => {
          watch.running--;
          terminate();
        };
        return worker;
      }
    } as unknown as typeof Worker;
  }

  [Symbol.dispose](): void {
    globalThis.Worker = RealWorker;
  }
}

/** Long enough for a thread, with blocks of each kind. */
const LONG = concatBytes([text(20 * MIB, 1), noise(6 * MIB, 1), pages(20 * MIB, 1), text(7 * MIB + 5, 2)]);
const ENCODED = encodeObjectBytes(LONG);
const WITH_THREAD = { openCompressor: useCompressionThread };

/** As a database is read: other work gets its turn between two pieces. */
function readSlowly(
  bytes: Uint8Array,
  failure?: Error,
  { isEndless = false }: { isEndless?: boolean } = {},
): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      await yieldToEvents();
      if (isEndless) at %= bytes.length;
      if (at < bytes.length) controller.enqueue(bytes.subarray(at, at += 300_000));
      else if (failure === undefined) controller.close();
      else controller.error(failure);
    },
  }, { highWaterMark: 0 });
}

async function encode(bytes: Uint8Array = LONG, options: EncodeOptions = WITH_THREAD): Promise<Uint8Array> {
  return await readAll(encodeObject(readSlowly(bytes), options), { limit: 64 * MIB });
}

function assertEncoded(bytes: Uint8Array): void {
  assert.equal(Buffer.compare(bytes, ENCODED), 0);
}

test("encodeObject() writes the same with a thread, which ends with the last stream that uses it", async () => {
  using workers = new WatchedWorkers();
  const streams = [encode(), encode(), encode()];
  assertEncoded(await streams[0]!);
  for (const bytes of await Promise.all(streams)) assertEncoded(bytes);
  assert.equal(workers.started, 1);
  assert.ok(workers.blocks >= 3, `${workers.blocks} blocks`);
  assert.equal(workers.running, 0);
  assertEncoded(await encode());
  assert.equal(workers.started, 2);
});

test("encodeObject() starts no thread for what is short, nor unless it may", async () => {
  using workers = new WatchedWorkers();
  await encode(LONG.subarray(0, 30 * MIB));
  await encode(LONG, {});
  assert.equal(workers.started, 0);
});

test("encodeObject() that is cancelled with blocks on their way ends the thread, and passes an error of its source on", async () => {
  using workers = new WatchedWorkers();
  // On a busy machine the thread may begin when all of LONG is done.
  const reader = encodeObject(readSlowly(LONG, undefined, { isEndless: true }), WITH_THREAD).getReader();
  while (workers.blocks < 2) assert.equal((await reader.read()).done, false);
  await reader.cancel();
  assert.equal(workers.running, 0);
  const failure = new Error("disk gone");
  const stream = encodeObject(readSlowly(LONG, failure), WITH_THREAD);
  await assert.rejects(readAll(stream, { limit: 64 * MIB }), failure);
  assert.equal(workers.running, 0);
  assert.equal(workers.started, 2);
});

test("encodeObject() fails when its thread does, and does without one from then on", async () => {
  using workers = new WatchedWorkers();
  workers.onBlock = (worker) => worker.onerror!(new ErrorEvent("error", { message: "out of memory" }));
  await assert.rejects(encode(), /compression failed: out of memory/);
  assert.equal(workers.running, 0);
  assertEncoded(await encode());
  assert.equal(workers.started, 1);
});
