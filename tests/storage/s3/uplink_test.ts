import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpClient } from "../../../src/runtime/http.ts";
import { segmentKey } from "../../../src/storage/keys.ts";
import { yieldToEvents } from "../../../src/runtime/clock.ts";
import { S3Store } from "../../../src/storage/s3/s3_store.ts";
import { Uplink } from "../../../src/storage/s3/uplink.ts";
import { pattern } from "../../contract/object_store.ts";
import { fixedCredentials, TEST_KEYS } from "../../servers/s3_servers.ts";
import { KEY, MIB, QUICK_RETRY } from "./proxied_store.ts";
import { takesUploads } from "./takes_uploads.ts";

/** A line that all bodies share alike, with a server behind it. */
class SharedLine {
  /** Bytes per second. */
  rate: number;
  /** Bodies of a part's size, or about that, side by side. */
  mostAtOnce = 0;
  readonly #bodies = new Set<{ left: number; isLarge: boolean; arrive(): void }>();
  #atMs = 0;

  constructor({ rate }: { rate: number }) {
    this.rate = rate;
  }

  client(): HttpClient {
    const { http } = takesUploads();
    return {
      send: async (request) => {
        await this.#carry(request.body?.length ?? 0, request.signal);
        return await http.send(request);
      },
      [Symbol.dispose]() {},
    };
  }

  async #carry(size: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const body = { left: size, isLarge: size > MIB, arrive: resolve };
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (this.#bodies.size === 0) this.#run();
    this.#bodies.add(body);
    this.mostAtOnce = Math.max(this.mostAtOnce, [...this.#bodies].filter(({ isLarge }) => isLarge).length);
    await promise.finally(() => this.#bodies.delete(body));
  }

  #run(): void {
    this.#atMs = performance.now();
    const timer = setInterval(() => {
      if (this.#bodies.size === 0) return clearInterval(timer);
      const nowMs = performance.now();
      const share = this.rate * (nowMs - this.#atMs) / 1000 / this.#bodies.size;
      this.#atMs = nowMs;
      for (const body of this.#bodies) if ((body.left -= share) <= 0) body.arrive();
    }, 2);
  }
}

/** Bytes per second on which a part takes 400 ms: two at once need longer than the 600 ms that each may take. */
const SLOW = 12.5 * MIB;

function open(line: SharedLine): S3Store {
  return new S3Store({
    bucket: "backup",
    credentials: fixedCredentials(TEST_KEYS),
    endpoint: "http://127.0.0.1",
    http: line.client(),
    partSize: 5 * MIB,
    patience: { answerMs: 100, slowestUpload: 10 * MIB },
    retry: QUICK_RETRY,
  });
}

const keyOf = (index: number) => segmentKey({ generation: "0123456789abcdef", index, offset: 0 });

const UPLOADS: [string, (line: SharedLine) => Promise<unknown>[]][] = [
  ["four parts of an object", (line) => [open(line).put(KEY, pattern(20 * MIB, 1))]],
  ["four objects", (line) => {
    const store = open(line);
    return [1, 2, 3, 4].map((index) => store.put(keyOf(index), pattern(5 * MIB, index)));
  }],
  [
    "parts of two stores' objects",
    (line) => [1, 2].map((index) => open(line).put(keyOf(index), pattern(10 * MIB, index))),
  ],
];
for (const [what, begin] of UPLOADS) {
  test(`S3Store.put() sends ${what} one by one over a line that is too slow for them together`, async () => {
    const line = new SharedLine({ rate: SLOW });
    const puts = begin(line);
    await Promise.all(puts);
    assert.equal(line.mostAtOnce, 4);
  });
}

test("S3Store.put() of a little doesn't wait for what goes up one by one, which it does until the line is fast", async () => {
  const line = new SharedLine({ rate: SLOW });
  const store = open(line);
  await store.put(KEY, pattern(10 * MIB, 1));
  line.mostAtOnce = 0;
  const ended: string[] = [];
  await Promise.all([
    store.put(KEY, pattern(10 * MIB, 2)).then(() => ended.push("large")),
    store.put(keyOf(2), pattern(10_000, 3)).then(() => ended.push("small")),
  ]);
  assert.deepEqual(ended, ["small", "large"]);
  assert.equal(line.mostAtOnce, 1);
  line.rate = 1000 * SLOW;
  await store.put(KEY, pattern(20 * MIB, 4));
  line.rate = 3 * SLOW;
  line.mostAtOnce = 0;
  await store.put(KEY, pattern(10 * MIB, 5));
  assert.equal(line.mostAtOnce, 2);
});

test("Uplink has bodies to one server take turns, and holds up none to another", async () => {
  const [one, same, other] = ["https://a", "https://a", "https://b"].map((server) => new Uplink(server));
  for (const uplink of [one!, same!, other!]) uplink.noteStalled(1 << 20);
  const turn = await one!.turn(1 << 20, {});
  (await other!.turn(1 << 20, {}))[Symbol.dispose]();
  let isHad = false;
  const waiting = same!.turn(1 << 20, {}).then((next) => {
    isHad = true;
    return next;
  });
  await yieldToEvents();
  assert.equal(isHad, false);
  turn[Symbol.dispose]();
  (await waiting)[Symbol.dispose]();
});
