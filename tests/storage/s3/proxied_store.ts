/** A store behind a fault proxy, and what tests ask of both. */
import process from "node:process";
import assert from "node:assert/strict";
import type { LogFields, Logger } from "../../../src/logger.ts";
import { readAll } from "../../../src/bytes.ts";
import { describeError } from "../../../src/errors.ts";
import { segmentKey } from "../../../src/storage/keys.ts";
import type { ObjectStore } from "../../../src/storage/object_store.ts";
import type { S3StoreOptions } from "../../../src/storage/s3/options.ts";
import { S3Store } from "../../../src/storage/s3/s3_store.ts";
import { type Fault, type FaultProxy, type SeenRequest, startFaultProxy } from "../../servers/fault_proxy.ts";
import type { S3Server } from "../../servers/s3_servers.ts";

/** The key that most tests write to. */
export const KEY = segmentKey({ generation: "0123456789abcdef", index: 1, offset: 4152 });

/** Tries come one after the other. */
export const QUICK_RETRY = { firstWaitMs: 1, longestWaitMs: 2, random: () => 0.5 };

export const MIB = 1024 * 1024;

/** A store of its own prefix behind a proxy of its own: `await using`. */
export interface ProxiedStore extends AsyncDisposable {
  readonly store: S3Store;
  readonly proxy: FaultProxy;
  /** The store's prefix in the bucket. */
  readonly path: string;
  /** Messages of level warn and above, with their fields. */
  readonly warnings: [string, LogFields | undefined][];
}

let pathCount = 0;

/** Open a store at `server` through a proxy. */
export async function proxied(
  server: S3Server,
  options: Partial<S3StoreOptions> = {},
): Promise<ProxiedStore> {
  const proxy = await startFaultProxy({ upstreamPort: server.port });
  const path = `proxied/${process.pid}/${++pathCount}`;
  const warnings: [string, LogFields | undefined][] = [];
  const store = new S3Store({
    bucket: server.bucket,
    credentials: server.credentials,
    endpoint: proxy.endpoint,
    path,
    partSize: 5 * MIB,
    retry: QUICK_RETRY,
    logger: warningLogger(warnings),
    ...options,
  });
  return {
    store,
    proxy,
    path,
    warnings,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]();
      await proxy.stop();
    },
  };
}

function warningLogger(warnings: [string, LogFields | undefined][]): Logger {
  const add = (message: string, fields?: LogFields) => void warnings.push([message, fields]);
  const logger: Logger = { debug() {}, info() {}, warn: add, error: add, with: () => logger };
  return logger;
}

/** What a larger answer can suffer on its way. */
export const SPOILED_ANSWERS: readonly Fault[] = [
  { act: "corrupt", which: "response" },
  { act: "cut", after: 20_000, how: "close" },
  { act: "cut", after: 20_000, how: "stall" },
];

/** `fault` for the first `count` requests that match. */
export function firstTimes(
  count: number,
  matches: (request: SeenRequest) => boolean,
  fault: Fault,
): (request: SeenRequest) => Fault | undefined {
  let left = count;
  return (request) => matches(request) && left-- > 0 ? fault : undefined;
}

/** An answer as S3 refuses. */
export function refusal(
  status: number,
  code: string,
  extra: { headers?: Record<string, string>; xml?: string } = {},
): Fault {
  const body =
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}, it said.</Message>${
      extra.xml ?? ""
    }</Error>`;
  return { act: "answer", status, headers: { "content-type": "application/xml", ...extra.headers }, body };
}

/** The object's bytes are these, read without the proxy's faults. */
export async function assertHolds(store: ObjectStore, key: string, bytes: Uint8Array): Promise<void> {
  assertSame(await readAll(await store.get(key), { limit: bytes.length + 1000 }), bytes);
}

/** Same bytes; says where they differ without printing millions of numbers. */
export function assertSame(read: Uint8Array, wanted: Uint8Array): void {
  assert.equal(read.length, wanted.length);
  assert.equal(read.findIndex((byte, at) => byte !== wanted[at]), -1);
}

/** The error of `promise` in one line. */
export async function failureOf(promise: Promise<unknown>): Promise<{ text: string; error: unknown }> {
  try {
    await promise;
  } catch (error) {
    const text = describeError(error);
    assert.ok(!text.includes("\n"), text);
    return { text, error };
  }
  assert.fail("it succeeded");
}

export async function keysOf(store: ObjectStore, prefix = ""): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys.sort();
}
