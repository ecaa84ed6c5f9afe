/** A server that goes away and comes back: who finds out, how soon, and at what price. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { sleep } from "../../../src/async.ts";
import { StoreError } from "../../../src/errors.ts";
import type { HttpClient } from "../../../src/runtime/http.ts";
import { Absence } from "../../../src/storage/s3/absence.ts";
import type { S3StoreOptions } from "../../../src/storage/s3/options.ts";
import { S3Store } from "../../../src/storage/s3/s3_store.ts";
import { pattern } from "../../contract/object_store.ts";
import { fixedCredentials, TEST_KEYS } from "../../servers/s3_servers.ts";
import { failureOf, KEY } from "./proxied_store.ts";
import { takesUploads } from "./takes_uploads.ts";

/** Without anybody who looks they would wait for this long. */
const NEVER_RETRIED = { tries: 50, firstWaitMs: 60_000, longestWaitMs: 60_000, random: () => 1 };

/** A server that isn't there until it is. */
class ComingServer {
  isThere = false;
  readonly seen: { method: string; url: string; isAnswered: boolean }[] = [];

  client(): HttpClient {
    const { http } = takesUploads();
    return {
      send: async (request) => {
        this.seen.push({ method: request.method, url: request.url, isAnswered: this.isThere });
        if (!this.isThere) throw Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
        return await http.send(request);
      },
      [Symbol.dispose]() {},
    };
  }

  count(method: string, { isAnswered }: { isAnswered: boolean }): number {
    return this.seen.filter((one) => one.method === method && one.isAnswered === isAnswered).length;
  }
}

let serverCount = 0;

/** A name of its own for each: what is known of a server is known to all. */
const nextEndpoint = () => `http://server-${++serverCount}.example`;

function open(server: ComingServer, endpoint: string, options: Partial<S3StoreOptions> = {}): S3Store {
  return new S3Store({
    bucket: "backup",
    credentials: fixedCredentials(TEST_KEYS),
    endpoint,
    http: server.client(),
    retry: NEVER_RETRIED,
    ...options,
  });
}

test("S3Store sends what waits as soon as its server answers again, and looks once for all who wait", async () => {
  const server = new ComingServer();
  const endpoint = nextEndpoint();
  // The longest wait between two tries is two seconds: nobody gets there by that alone.
  const stores = Array.from({ length: 50 }, () => open(server, endpoint));
  const startMs = performance.now();
  const puts = stores.map((store) => store.put(KEY, pattern(10, 1)));
  await sleep(350);
  const lookCount = server.count("HEAD", { isAnswered: false });
  const elapsedMs = performance.now() - startMs;
  assert.ok(lookCount >= 1 && lookCount <= elapsedMs / 50, `${lookCount} looks in ${elapsedMs} ms`);
  const tryCount = server.count("PUT", { isAnswered: false });
  assert.ok(tryCount >= 50 && tryCount <= 50 * (1 + Math.floor(elapsedMs / 2000)), `${tryCount} tries`);
  server.isThere = true;
  await Promise.all(puts);
  assert.equal(server.count("PUT", { isAnswered: true }), 50);
  assert.equal(server.count("HEAD", { isAnswered: true }), 1);
  assert.ok(server.seen.filter(({ method }) => method === "HEAD").every(({ url }) => url === `${endpoint}/`));
  const countBefore = server.seen.length;
  await sleep(250);
  assert.equal(server.seen.length, countBefore, "nobody looks any more");
});

test("S3Store.answering() resolves once its server answers, and a second time likewise", async () => {
  const server = new ComingServer();
  await using store = open(server, nextEndpoint());
  const { signal } = new AbortController();
  for (let round = 0; round < 2; round++) {
    server.isThere = false;
    let isOver = false;
    const waiting = store.answering({ signal }).then(() => isOver = true);
    await sleep(250);
    assert.equal(isOver, false);
    server.isThere = true;
    await waiting;
  }
});

test("S3Store gives up on a server that stays away after its tries, and looks no more", async () => {
  const server = new ComingServer();
  const retry = { tries: 3, firstWaitMs: 120, longestWaitMs: 120, random: () => 1 };
  await using store = open(server, nextEndpoint(), { retry });
  const { text, error } = await failureOf(store.put(KEY, pattern(10, 1)));
  assert.match(text, /nothing listens at .*\(3 tries\)/);
  assert.ok(error instanceof StoreError && error.isAway);
  const count = server.seen.length;
  await sleep(250);
  assert.equal(server.seen.length, count);
});

test("A wait for a server ends with its signal, and the others' go on", async () => {
  const absence = Absence.of(nextEndpoint());
  let isThere = false;
  const ended = new AbortController();
  const looks: string[] = [];
  const lookAs = (name: string) => () => {
    looks.push(name);
    return Promise.resolve(isThere);
  };
  const first = absence.over({ look: lookAs("first"), signal: ended.signal });
  const second = absence.over({ look: lookAs("second"), signal: new AbortController().signal });
  await sleep(150);
  ended.abort(new Error("stopped"));
  await assert.rejects(first, /stopped/);
  await sleep(150);
  isThere = true;
  await second;
  assert.ok(looks.includes("first") && looks.at(-1) === "second", looks.join(" "));
});

test("A look that fails or hangs is none that found anybody", async () => {
  const absence = Absence.of(nextEndpoint());
  let count = 0;
  const look = (signal: AbortSignal): Promise<boolean> => {
    if (++count === 1) throw new Error("broken");
    if (count === 2) {
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    }
    return Promise.resolve(count > 3);
  };
  await absence.over({ look, signal: new AbortController().signal });
  assert.equal(count, 4);
});

test("S3Store looks for the host that its requests go to, where the bucket has one of its own", async () => {
  const server = new ComingServer();
  const endpoint = nextEndpoint();
  await using store = open(server, endpoint, { forcePathStyle: false });
  const put = store.put(KEY, pattern(10, 1));
  await sleep(150);
  server.isThere = true;
  await put;
  const hosts = new Set(server.seen.map(({ url }) => new URL(url).host));
  assert.deepEqual([...hosts], [`backup.${new URL(endpoint).host}`]);
});

test("Nothing is kept of a wait for a server that ended by its signal", async () => {
  const absence = Absence.of(nextEndpoint());
  const look = () => Promise.resolve(false);
  for (let count = 0; count < 100; count++) {
    const ended = new AbortController();
    const wait = absence.over({ look, signal: ended.signal });
    ended.abort(new Error("stopped"));
    await assert.rejects(wait, /stopped/);
  }
  assert.equal(absence.waitingCount, 0);
});
