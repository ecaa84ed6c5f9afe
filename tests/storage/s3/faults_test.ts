import assert from "node:assert/strict";
import { test } from "node:test";
import { readAll } from "../../../src/bytes.ts";
import { NotFoundError, StoreError } from "../../../src/errors.ts";
import { segmentKey } from "../../../src/storage/keys.ts";
import { pattern, reusingStream } from "../../contract/object_store.ts";
import type { Fault, SeenRequest } from "../../servers/fault_proxy.ts";
import { oncePerFile } from "../../servers/once.ts";
import { startMinio, startVersitygw } from "../../servers/s3_servers.ts";
import {
  assertHolds,
  failureOf,
  firstTimes,
  KEY,
  keysOf,
  MIB,
  proxied,
  QUICK_RETRY,
  refusal,
  SPOILED_ANSWERS,
} from "./proxied_store.ts";

const minio = oncePerFile(() => startMinio());
const versitygw = oncePerFile(() => startVersitygw());

const isGet = ({ method, path }: SeenRequest) => method === "GET" && !path.includes("list-type");
const isPut = ({ method }: SeenRequest) => method === "PUT";
const isPart = ({ method, path }: SeenRequest) => method === "PUT" && path.includes("partNumber=");
const isList = ({ path }: SeenRequest) => path.includes("list-type");
const isCompletion = ({ method, path }: SeenRequest) => method === "POST" && path.includes("uploadId=");

const COMPLETED = "<CompleteMultipartUploadResult/>";

test("S3Store sends again what was dropped, and what was carried out but not answered", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  for (const fault of [{ act: "drop" }, { act: "lose-answer" }] as const) {
    for (const size of [1000, 12 * MIB]) {
      const body = pattern(size, size);
      proxy.fault = firstTimes(2, isPut, fault);
      await store.put(KEY, reusingStream(body, 100_000));
      proxy.fault = firstTimes(2, isGet, fault);
      await assertHolds(store, KEY, body);
    }
  }
  assert.deepEqual(await keysOf(store), [KEY]);
});

test("S3Store.put() finds its object when the answer to the last request of an upload was lost", async () => {
  await using opened = await proxied(await minio());
  opened.proxy.fault = firstTimes(1, isCompletion, { act: "lose-answer" });
  await opened.store.put(KEY, pattern(6 * MIB, 4));
  assert.equal(opened.proxy.counts().HEAD, 1);
  await assertHolds(opened.store, KEY, pattern(6 * MIB, 4));
});

/** Whether the object is looked at; it isn't there for the first `ms` of that. */
function missingFor(ms: number): (request: SeenRequest) => Fault | undefined {
  let beganMs: number | undefined;
  return ({ method }) => {
    if (method !== "HEAD") return undefined;
    beganMs ??= performance.now();
    return performance.now() - beganMs < ms ? { act: "answer", status: 404 } : undefined;
  };
}

for (
  const [name, later] of [
    ["says that there is no such upload", undefined],
    ["can't answer a second time", refusal(500, "InternalError")],
    ["says at once that all is well", { act: "answer", status: 200, body: COMPLETED }],
  ] as const
) {
  test(`S3Store.put() waits for its object where a server that still makes it ${name}`, async () => {
    await using opened = await proxied(await minio());
    const { store, proxy } = opened;
    const isMissing = missingFor(600);
    const lost = firstTimes(1, isCompletion, { act: "lose-answer" });
    proxy.fault = (request) =>
      isMissing(request) ?? lost(request) ?? (isCompletion(request) ? later : undefined);
    await store.put(KEY, pattern(6 * MIB, 16));
    assert.ok(proxy.counts().HEAD! > 1);
    assert.deepEqual(proxy.seen.filter(({ method }) => method === "DELETE"), []);
    await assertHolds(store, KEY, pattern(6 * MIB, 16));
  });
}

for (
  const [name, fault] of [
    ["got no answer", { act: "drop" }],
    ["a gateway got no answer to", refusal(504, "GatewayTimeout")],
  ] as const
) {
  test(`S3Store.put() doesn't believe that all is well after a completion that ${name}`, async () => {
    await using opened = await proxied(await minio(), { patience: { completionMs: 300 } });
    const { store, proxy } = opened;
    const lost = firstTimes(1, isCompletion, fault);
    const done: Fault = { act: "answer", status: 200, body: COMPLETED };
    proxy.fault = (request) => lost(request) ?? (isCompletion(request) ? done : undefined);
    const beganMs = performance.now();
    const { text } = await failureOf(store.put(KEY, pattern(6 * MIB, 17)));
    assert.match(
      text,
      /^cannot write s3:\/\/backup\/proxied\/.*: an answer to the end of the upload was lost, .* after 1 s the object is/,
    );
    assert.ok(performance.now() - beganMs >= 900, "and what 6 MiB take to be copied");
    assert.equal(proxy.seen.at(-1)!.method, "DELETE");
    assert.deepEqual(await keysOf(store), []);
  });
}

test("S3Store.put() that waits for its object ends with its signal", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  const stop = new AbortController();
  const lost = firstTimes(1, isCompletion, { act: "drop" });
  proxy.fault = (request) => {
    if (request.method === "HEAD") stop.abort(new Error("stopped"));
    return lost(request) ??
      (isCompletion(request) ? { act: "answer", status: 200, body: COMPLETED } : undefined);
  };
  await assert.rejects(store.put(KEY, pattern(6 * MIB, 18), { signal: stop.signal }), /^Error: stopped$/);
});

test("S3Store.put() waits longer for the end of an upload than for other answers", async () => {
  await using opened = await proxied(await minio(), { patience: { answerMs: 200 } });
  const { store, proxy } = opened;
  proxy.fault = (request) => isCompletion(request) ? { act: "delay", beforeMs: 800 } : undefined;
  await store.put(KEY, pattern(6 * MIB, 19));
  assert.equal(proxy.seen.filter(isCompletion).length, 1);
  assert.equal(proxy.counts().HEAD, undefined);
});

test("S3Store.put() takes an error inside of an answer with status 200 for one", async () => {
  await using opened = await proxied(await minio());
  const error = refusal(200, "InternalError");
  opened.proxy.fault = firstTimes(2, isCompletion, error);
  await opened.store.put(KEY, pattern(6 * MIB, 5));
  assert.equal(opened.proxy.seen.filter(isCompletion).length, 3);
  await assertHolds(opened.store, KEY, pattern(6 * MIB, 5));
});

test("S3Store.put() sends a list of parts again that was damaged on its way, and not the parts", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  proxy.fault = firstTimes(2, isCompletion, { act: "corrupt", which: "request" });
  await store.put(KEY, pattern(6 * MIB, 15));
  assert.equal(proxy.seen.filter(isCompletion).length, 3);
  assert.equal(proxy.seen.filter(isPart).length, 2);
  await assertHolds(store, KEY, pattern(6 * MIB, 15));
});

for (
  const [name, checksum, matches, size] of [
    ["a small object secured by MD5", "auto", isPut, 1000],
    ["a part secured by CRC-32", "auto", isPart, 6 * MIB],
    ["a part secured by MD5", "md5", isPart, 6 * MIB],
    ["a part secured by SHA-256", "sha256", isPart, 6 * MIB],
    ["a small object secured by SHA-256", "sha256", isPut, 1000],
    ["a small object secured by CRC-32", "crc32", isPut, 1000],
  ] as const
) {
  test(`S3Store.put() has the server refuse ${name} that was damaged on its way`, async () => {
    await using opened = await proxied(await minio(), { checksum });
    opened.proxy.fault = firstTimes(2, matches, { act: "corrupt", which: "request" });
    await opened.store.put(KEY, pattern(size, 6));
    const tries = opened.proxy.seen.filter(matches);
    assert.equal(tries.length, (size > 5 * MIB ? 2 : 1) + 2);
    await assertHolds(opened.store, KEY, pattern(size, 6));
  });
}

test("S3Store.put() secures parts by CRC-32 where the server echoes it, else by MD5", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  await store.put(KEY, pattern(6 * MIB, 7));
  assert.ok(proxy.seen.filter(isPart).every(({ headers }) => headers["x-amz-checksum-crc32"] !== undefined));
  await using deaf = await proxied(await minio());
  deaf.proxy.fault = ({ path }) =>
    path.includes("uploads=")
      ? { act: "head", change: (headers) => delete headers["x-amz-checksum-algorithm"] }
      : undefined;
  // MinIO wants what was announced, so the server that doesn't know it is played to the end.
  deaf.proxy.fault = firstTimes(1, ({ path }) => path.includes("uploads="), refusal(501, "NotImplemented"));
  await deaf.store.put(KEY, pattern(6 * MIB, 7));
  const parts = deaf.proxy.seen.filter(isPart);
  assert.equal(parts.length, 2);
  assert.ok(
    parts.every(({ headers }) =>
      headers["content-md5"] !== undefined && !("x-amz-checksum-crc32" in headers)
    ),
  );
  await assertHolds(deaf.store, KEY, pattern(6 * MIB, 7));
});

/** What secured each PUT that was seen. */
const securedBy = (seen: readonly SeenRequest[]) =>
  seen.filter(isPut).map(({ headers }) =>
    [["md5", "content-md5"], ["crc32", "x-amz-checksum-crc32"]]
      .flatMap(([kind, header]) => headers[header!] === undefined ? [] : [kind]).join("+")
  );

for (const [name, server] of [["MinIO", minio], ["versitygw", versitygw]] as const) {
  test(`S3Store.put() finds out with one object of some size that ${name} verifies CRC-32, and spares MD5 from then on`, async () => {
    await using opened = await proxied(await server());
    const { store, proxy } = opened;
    await store.put(KEY, pattern(1000, 1));
    for (const seed of [2, 3, 4]) await store.put(KEY, pattern(2 * MIB, seed));
    await store.put(KEY, pattern(1000, 5));
    assert.deepEqual(securedBy(proxy.seen), ["md5", "md5+crc32", "crc32", "crc32", "md5"]);
    proxy.fault = firstTimes(1, isPut, { act: "corrupt", which: "request" });
    await store.put(KEY, pattern(2 * MIB, 6));
    assert.equal(proxy.seen.length, 7, "what was damaged on its way is refused");
    await assertHolds(store, KEY, pattern(2 * MIB, 6));
  });
}

test("S3Store.put() stays with MD5 where a server passes over CRC-32, or refuses it", async () => {
  await using deaf = await proxied(await minio());
  deaf.proxy.fault = () => ({ act: "head", change: (headers) => delete headers["x-amz-checksum-crc32"] });
  for (const seed of [1, 2]) await deaf.store.put(KEY, pattern(2 * MIB, seed));
  assert.deepEqual(securedBy(deaf.proxy.seen), ["md5+crc32", "md5"]);
  for (const [status, code] of [[501, "NotImplemented"], [400, "InvalidRequest"]] as const) {
    await using strict = await proxied(await minio());
    strict.proxy.fault = firstTimes(1, isPut, refusal(status, code));
    for (const seed of [3, 4]) await strict.store.put(KEY, pattern(2 * MIB, seed));
    assert.deepEqual(securedBy(strict.proxy.seen), ["md5+crc32", "md5", "md5"]);
    await assertHolds(strict.store, KEY, pattern(2 * MIB, 4));
  }
});

test("S3Store.put() sends again when the answer's ETag is that of other bytes", async () => {
  await using opened = await proxied(await minio());
  const change = (headers: Record<string, unknown>) => headers["etag"] = `"${"0".repeat(32)}"`;
  opened.proxy.fault = firstTimes(1, isPut, { act: "head", change });
  await opened.store.put(KEY, pattern(100, 8));
  assert.equal(opened.proxy.seen.length, 2);
  assert.deepEqual(opened.warnings, []);
});

test("S3Store.put() learns that ETags are no MD5 sums, and says so once", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  let number = 0;
  const change = (headers: Record<string, unknown>) =>
    headers["etag"] = `"${String(number++).padStart(32, "0")}"`;
  proxy.fault = () => ({ act: "head", change });
  await store.put(KEY, pattern(100, 9));
  await store.put(KEY, pattern(200, 9));
  assert.equal(proxy.seen.length, 3);
  assert.equal(opened.warnings.length, 1);
  await assertHolds(store, KEY, pattern(200, 9));
});

test("S3Store goes on comparing ETags although those of one object are no MD5 sums", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  const [odd, body] = [`${KEY}2`, pattern(50_000, 10)];
  for (const key of [odd, KEY]) await store.put(key, body);
  const isOdd = ({ path }: SeenRequest) => path.endsWith(odd);
  const change = (headers: Record<string, unknown>) => headers["etag"] = `"${"0".repeat(32)}"`;
  proxy.fault = (request) => isOdd(request) ? { act: "head", change } : undefined;
  await assertHolds(store, odd, body);
  await store.put(odd, body);
  assert.deepEqual(opened.warnings, []);
  proxy.fault = firstTimes(1, isGet, { act: "corrupt", which: "response" });
  await assertHolds(store, KEY, body);
  // A third one, and it is the server.
  proxy.fault = () => ({ act: "head", change });
  await store.put(odd, body);
  assert.equal(opened.warnings.length, 1);
  proxy.seen.length = 0;
  await assertHolds(store, odd, body);
  assert.equal(proxy.seen.length, 1);
});

test("S3Store.get() reads a small object again that was damaged, cut or stalled on its way", async () => {
  await using opened = await proxied(await minio(), { patience: { stallMs: 150 } });
  const { store, proxy } = opened;
  const body = pattern(50_000, 10);
  await store.put(KEY, body);
  for (const fault of SPOILED_ANSWERS) {
    proxy.seen.length = 0;
    proxy.fault = firstTimes(1, isGet, fault);
    await assertHolds(store, KEY, body);
    assert.equal(proxy.seen.length, 2, JSON.stringify(fault));
  }
});

for (const how of ["close", "stall"] as const) {
  test(`S3Store.get() goes on at the byte where a large object's connection did ${how}`, async () => {
    // Long enough for a busy machine, which makes pauses of its own: they would be stalls, and bytes asked for twice.
    const patience = how === "stall" ? { stallMs: 500 } : {};
    await using opened = await proxied(await minio(), { patience, rangeSize: MIB });
    const { store, proxy } = opened;
    const body = pattern(6 * MIB + 77, 11);
    await store.put(KEY, body);
    let breaks = how === "close" ? 20 : 4;
    // More breaks than tries: each came further than the one before it.
    proxy.fault = (request) =>
      isGet(request) && breaks-- > 0 ? { act: "cut", after: 100_000, how } : undefined;
    proxy.seen.length = 0;
    await assertHolds(store, KEY, body);
    const starts = proxy.seen.filter(isGet).map(({ headers }) =>
      Number(/^bytes=(\d+)-/.exec(headers["range"] as string)![1])
    );
    assert.ok(starts.includes(100_000), starts.join(" "));
    assert.equal(new Set(starts).size, starts.length, "no byte is asked for twice");
    const tags = proxy.seen.filter(isGet).slice(1).map(({ headers }) => headers["if-match"]);
    assert.ok(tags.every((tag) => tag !== undefined));
  });
}

test("S3Store.get() ends a large object that makes no progress with one line", async () => {
  await using opened = await proxied(await minio(), { rangeSize: MIB, retry: { tries: 3, firstWaitMs: 1 } });
  const { store, proxy } = opened;
  await store.put(KEY, pattern(3 * MIB, 12));
  proxy.fault = (request) => isGet(request) ? { act: "cut", after: 0, how: "close" } : undefined;
  const { text, error } = await failureOf(
    (async () => await readAll(await store.get(KEY), { limit: 4 * MIB }))(),
  );
  assert.match(text, /^cannot read s3:\/\/backup\/proxied\/.*(broke|ended)/);
  assert.ok(error instanceof StoreError && error.isTransient);
});

test("S3Store that is told to keep trying doesn't where the server has never answered as it should", async () => {
  const retry = { ...QUICK_RETRY, tries: 2, keepTryingMs: 600_000 };
  for (const fault of [{ act: "answer", status: 503 }, { act: "answer", status: 200 }] as const) {
    await using opened = await proxied(await minio(), { retry });
    opened.proxy.fault = () => fault;
    const { text } = await failureOf(keysOf(opened.store));
    assert.match(text, /^cannot list .*\b2 tries\)/);
  }
});

test("S3Store.get() notices that an object was replaced or deleted between its ranges", async () => {
  await using opened = await proxied(await minio(), { rangeSize: MIB, concurrency: 1 });
  const { store } = opened;
  for (
    const [act, message] of [
      [() => store.put(KEY, pattern(5 * MIB, 14)), /was replaced while it was read/],
      [() => store.delete([KEY]), /was deleted while it was read/],
    ] as const
  ) {
    await store.put(KEY, pattern(5 * MIB, 13));
    const reader = (await store.get(KEY)).getReader();
    await reader.read();
    await act();
    const { text } = await failureOf((async () => {
      while (!(await reader.read()).done);
    })());
    assert.match(text, message);
  }
});

test("S3Store.get() reads from a server that knows no ranges", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  const text = "0123456789".repeat(200_000);
  proxy.fault = (request) => isGet(request) ? { act: "answer", status: 200, body: text } : undefined;
  const read = async (range?: { start: number; end?: number }) =>
    new TextDecoder().decode(
      await readAll(await store.get(KEY, range === undefined ? {} : { range }), { limit: 3_000_000 }),
    );
  assert.ok(await read() === text);
  assert.equal(await read({ start: 15, end: 22 }), "5678901");
  assert.equal((await read({ start: 3 })).length, text.length - 3);
});

test("S3Store.get() refuses a first piece that is not within the range it asked for", async () => {
  await using opened = await proxied(await minio(), { rangeSize: MIB, retry: { tries: 2, firstWaitMs: 1 } });
  const { store, proxy } = opened;
  const text = "0123456789".repeat(400_000);
  const read = async (range: { start: number; end?: number }) =>
    await readAll(await store.get(KEY, { range }), { limit: 5_000_000 });
  for (const [start, end] of [[0, MIB + 1], [0, 3 * MIB], [100, 100], [100, 50]] as const) {
    let isFirst = true;
    proxy.fault = (request) => {
      if (!isGet(request)) return undefined;
      const [, from, last] = /^bytes=(\d+)-(\d+)/.exec(request.headers["range"] as string)!.map(Number);
      isFirst &&= from === start;
      const until = isFirst ? end : Math.min(last! + 1, text.length);
      const headers = { "content-range": `bytes ${from}-${until - 1}/${text.length}`, etag: '"of-all"' };
      return { act: "answer", status: 206, headers, body: text.slice(from, until) };
    };
    const { text: message, error } = await failureOf(read({ start }));
    assert.match(
      message,
      /^cannot read s3:\/\/backup\/proxied\/.*: the server gives another range than asked for \(2 tries\)$/,
    );
    assert.ok(error instanceof StoreError && error.isTransient);
  }
});

test("S3Store.list() asks again for a page that was cut, and never takes a part for the whole", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  for (const index of [1, 2, 3]) {
    await store.put(segmentKey({ generation: "0123456789abcdef", index, offset: 0 }), pattern(1, 1));
  }
  for (
    const change of [
      (text: string) => text.slice(0, text.lastIndexOf("<Contents>")),
      (text: string) => text.slice(0, -1),
      (text: string) => text.replace("<Size>", "<Size>x"),
      () => "",
      () => "<html><body>busy</body></html>",
    ]
  ) {
    proxy.fault = firstTimes(2, isList, { act: "body", change });
    assert.equal((await keysOf(store)).length, 3);
    proxy.fault = (request) => isList(request) ? { act: "body", change } : undefined;
    const { text, error } = await failureOf(keysOf(store));
    assert.match(text, /^cannot list s3:\/\/backup\/proxied\/.* \(8 tries\)$/);
    assert.ok(error instanceof StoreError && error.isTransient);
  }
});

test("S3Store.list() goes on by name where a page has no token, and stops where pages repeat", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  const keys = [1, 2, 3].map((index) => segmentKey({ generation: "0123456789abcdef", index, offset: 0 }));
  for (const key of keys) await store.put(key, pattern(1, 1));
  const withoutToken = (text: string) =>
    text.replace("<IsTruncated>false", "<IsTruncated>true").replace(
      /<NextContinuationToken>.*?<\/NextContinuationToken>/,
      "",
    );
  proxy.fault = (request) =>
    isList(request) && !request.path.includes("start-after")
      ? { act: "body", change: withoutToken }
      : undefined;
  assert.deepEqual(await keysOf(store), keys);
  assert.ok(
    proxy.seen.at(-1)!.path.includes(`start-after=${encodeURIComponent(`${opened.path}/${keys[2]}`)}`),
  );
  const sameToken = (text: string) =>
    text.replace(
      "<IsTruncated>false</IsTruncated>",
      "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>",
    );
  proxy.fault = (request) => isList(request) ? { act: "body", change: sameToken } : undefined;
  assert.match((await failureOf(keysOf(store))).text, /gives the same page again$|status 400/);
});

test("S3Store.delete() falls back to single deletes for good where the server has no other", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  const keys = [1, 2, 3].map((index) => segmentKey({ generation: "0123456789abcdef", index, offset: 0 }));
  proxy.fault = ({ path }) => path.includes("?delete") ? refusal(501, "NotImplemented") : undefined;
  for (let round = 0; round < 2; round++) {
    for (const key of keys) await store.put(key, pattern(1, 1));
    await store.delete(keys);
    assert.deepEqual(await keysOf(store), []);
  }
  assert.equal(proxy.seen.filter(({ path }) => path.includes("?delete")).length, 1);
  assert.equal(proxy.seen.filter(({ method }) => method === "DELETE").length, 6);
});

test("S3Store.delete() tries again what failed in passing and throws the first refusal after trying all (case 60)", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy, path } = opened;
  const keys = [1, 2, 3].map((index) => segmentKey({ generation: "0123456789abcdef", index, offset: 0 }));
  for (const key of keys) await store.put(key, pattern(1, 1));
  const failed = (key: string, code: string) =>
    `<Error><Key>${path}/${key}</Key><Code>${code}</Code><Message>no</Message></Error>`;
  proxy.fault = ({ path }) =>
    path.includes("?delete")
      ? {
        act: "answer",
        status: 200,
        body: `<DeleteResult>${failed(keys[0]!, "InternalError")}${failed(keys[1]!, "AccessDenied")}${
          failed(keys[2]!, "AccessDenied")
        }</DeleteResult>`,
      }
      : undefined;
  const { text, error } = await failureOf(store.delete(keys));
  assert.equal(
    text,
    `cannot delete s3://backup/${path}/${keys[1]}: AccessDenied - no (and 1 others); ` +
      'let these credentials do s3:DeleteObject on bucket "backup"',
  );
  assert.ok(error instanceof StoreError && error.isDenied && !error.isTransient);
  proxy.fault = undefined;
  assert.deepEqual(await keysOf(store), keys.slice(1));
});

test("S3Store.put() aborts an upload of which a part can't be sent", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  proxy.fault = (request) =>
    isPart(request) && request.path.includes("partNumber=2&") ? refusal(403, "AccessDenied") : undefined;
  const { text } = await failureOf(store.put(KEY, reusingStream(pattern(17 * MIB, 1), 100_000)));
  assert.match(
    text,
    /^cannot write part 2 of s3:.*access denied; let these credentials do s3:PutObject on bucket "backup"/,
  );
  assert.equal(proxy.seen.at(-1)!.method, "DELETE");
  assert.match(proxy.seen.at(-1)!.path, /uploadId=/);
  await assert.rejects(store.get(KEY), NotFoundError);
});

test("S3Store.put() says that an upload stays behind when it can't be aborted", async () => {
  await using opened = await proxied(await minio());
  opened.proxy.fault = (request) =>
    isPart(request) || request.method === "DELETE" ? refusal(403, "AccessDenied") : undefined;
  await failureOf(opened.store.put(KEY, pattern(6 * MIB, 1)));
  assert.deepEqual(opened.warnings.map(([message]) => message), [
    "an unfinished upload stays behind, it is cleaned up at a later start",
  ]);
});

test("S3Store.put() aborts after the next upload what it could not while the server was away", async () => {
  await using opened = await proxied(await minio(), { retry: { tries: 2 } });
  const { store, proxy, warnings } = opened;
  const isAbort = ({ method }: SeenRequest) => method === "DELETE";
  proxy.fault = (request) => isPart(request) || isAbort(request) ? { act: "drop" } : undefined;
  await failureOf(store.put(KEY, pattern(6 * MIB, 1)));
  assert.match(warnings[0]![0], /^an unfinished upload stays behind, it is cleaned up after the next one/);
  // The one after it, too, can't be.
  proxy.fault = (request) => isAbort(request) ? { act: "drop" } : undefined;
  await store.put(KEY, pattern(6 * MIB, 2));
  proxy.fault = undefined;
  proxy.seen.length = 0;
  for (let round = 0; round < 2; round++) await store.put(KEY, pattern(6 * MIB, 3));
  const begun = (path: string) => new URL(path, "http://s3").searchParams.get("uploadId");
  const aborted = proxy.seen.filter(isAbort).map(({ path }) => begun(path));
  const completed = proxy.seen.filter(isCompletion).map(({ path }) => begun(path));
  assert.deepEqual([aborted.length, completed.length], [1, 2]);
  assert.ok(!completed.includes(aborted[0]!));
  assert.equal(warnings.length, 1);
  await assertHolds(store, KEY, pattern(6 * MIB, 3));
});

test("S3Store takes no other's word for it that an object is gone", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  await store.put(KEY, pattern(1000, 1));
  const stranger: Fault = { act: "answer", status: 404, body: "404 page not found\n" };
  // More often than a status alone would be doubted.
  proxy.fault = firstTimes(6, isGet, stranger);
  await assertHolds(store, KEY, pattern(1000, 1));
  assert.equal(proxy.seen.filter(isGet).length, 7);
  proxy.fault = firstTimes(6, isList, stranger);
  assert.deepEqual(await keysOf(store), [KEY]);
  proxy.fault = () => stranger;
  const { text, error } = await failureOf(store.get(KEY));
  assert.match(
    text,
    /: status 404 from something on the way, and not in the words of an S3 server \(8 tries\)$/,
  );
  assert.ok(error instanceof StoreError && error.isTransient);
  // What is to go is gone, as far as anybody says.
  await store.delete([KEY]);
});

test("S3Store takes no other's word for it that an upload is aborted", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy, warnings } = opened;
  await store.put(KEY, pattern(1000, 1));
  const isAbort = ({ method, path }: SeenRequest) => method === "DELETE" && path.includes("uploadId=");
  proxy.fault = (request) =>
    isPart(request)
      ? refusal(403, "AccessDenied")
      : isAbort(request)
      ? { act: "answer", status: 404, body: "404 page not found\n" }
      : undefined;
  await failureOf(store.put(KEY, pattern(6 * MIB, 1)));
  assert.match(warnings[0]![0], /^an unfinished upload stays behind, it is cleaned up after the next one/);
});

test("S3Store leaves what it may not abort to a later start", async () => {
  await using opened = await proxied(await minio(), { retry: { tries: 1 } });
  const { store, proxy } = opened;
  const isAbort = ({ method }: SeenRequest) => method === "DELETE";
  proxy.fault = (request) => isPart(request) || isAbort(request) ? { act: "drop" } : undefined;
  await failureOf(store.put(KEY, pattern(6 * MIB, 1)));
  proxy.fault = (request) => isAbort(request) ? refusal(403, "AccessDenied") : undefined;
  proxy.seen.length = 0;
  for (let round = 0; round < 2; round++) await store.put(KEY, pattern(6 * MIB, 2));
  assert.equal(proxy.seen.filter(isAbort).length, 1);
});

test("S3Store fails at once where what answers never was an S3 server", async () => {
  await using opened = await proxied(await minio());
  const { store, proxy } = opened;
  proxy.fault = () => ({ act: "answer", status: 404, body: "<html>Not here</html>" });
  assert.match((await failureOf(keysOf(store))).text, /status 404/);
  assert.equal(proxy.seen.length, 1);
});

test("S3Store.delete() deletes nothing that it was not asked to, whatever the answer names", async () => {
  for (const key of ["", "<Key></Key>", "<Key>another</Key>"]) {
    await using opened = await proxied(await minio());
    const { store, proxy } = opened;
    proxy.fault = ({ path }) =>
      path.includes("?delete")
        ? {
          act: "answer",
          status: 200,
          body: `<DeleteResult><Error>${key}<Code>InternalError</Code></Error></DeleteResult>`,
        }
        : undefined;
    assert.match((await failureOf(store.delete([KEY, `${KEY}2`]))).text, /^cannot delete .*InternalError/);
    assert.deepEqual(proxy.seen.map(({ method }) => method), ["POST"], key);
  }
});

test("S3Store bounds the time for an answer, by the size of the body when it uploads", async () => {
  const patience = { answerMs: 100, slowestUpload: MIB };
  await using opened = await proxied(await minio(), { patience, retry: { tries: 1 } });
  opened.proxy.fault = () => ({ act: "silence" });
  const timeOf = async (call: Promise<unknown>) => {
    const startedAt = performance.now();
    assert.match((await failureOf(call)).text, /^cannot (read|write) .*: no answer in [12] s$/);
    return performance.now() - startedAt;
  };
  assert.ok(await timeOf(opened.store.get(KEY)) < 1000);
  const uploadMs = await timeOf(opened.store.put(KEY, pattern(MIB, 1)));
  assert.ok(uploadMs >= 1090, String(uploadMs));
});
