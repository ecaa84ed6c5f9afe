/**
 * `deno run -A bench/age.ts [megabytes]` or `bun bench/age.ts [megabytes]`: speed and memory of encryption, on one
 * thread, beside the `age` program; and what an object costs that holds next to nothing.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createAgeCipher } from "../src/codec/age.ts";
import { decodeObject, encodeObject } from "../src/codec/object.ts";
import { TextRows } from "./text_rows.ts";

const BLOCK = 1 << 20;
const SMALL_COUNT = 2000;

function makeKey(): { identity: string; recipient: string } {
  const { stdout } = spawnSync("age-keygen", [], { encoding: "utf8" });
  const identity = /^AGE-SECRET-KEY-1\w+$/m.exec(stdout ?? "")?.[0];
  const recipient = /^# public key: (age1\w+)$/m.exec(stdout ?? "")?.[1];
  if (identity === undefined || recipient === undefined) throw new Error("age-keygen is needed: install age");
  return { identity, recipient };
}

/** `count` blocks of rows of text, all in one block of memory that is used again. */
function textStream(count: number): ReadableStream<Uint8Array> {
  const rows = new TextRows(1);
  const source = new Uint8Array(BLOCK);
  const encoder = new TextEncoder();
  for (let at = 0; at < BLOCK;) {
    at += encoder.encodeInto(rows.next().join("|"), source.subarray(at)).written || BLOCK;
  }
  const block = new Uint8Array(BLOCK);
  let left = count;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (left-- === 0) return controller.close();
      block.set(source);
      controller.enqueue(block);
    },
  }, { highWaterMark: 0 });
}

let peak = 0;

/** Read a stream to its end, looking at the memory of the process now and then. */
async function consume(stream: ReadableStream<Uint8Array>): Promise<number> {
  let size = 0;
  let lookedAt = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size - lookedAt < 8 << 20) continue;
    lookedAt = size;
    peak = Math.max(peak, process.memoryUsage.rss());
  }
  return size;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

async function measure(megabytes: number): Promise<string[]> {
  const { identity, recipient } = makeKey();
  const cipher = createAgeCipher({ recipients: [recipient], identities: [identity] })!;
  const lines: string[] = [];
  const tell = async (name: string, work: () => Promise<unknown>) => {
    peak = 0;
    const speed = megabytes * BLOCK / 1e6 / (await timed(work) / 1000);
    lines.push(
      `${name.padEnd(36)}${speed.toFixed(0).padStart(6)} MB/s   peak RSS ${(peak / 1e6).toFixed(0)} MB`,
    );
  };
  const passed = (stream: ReadableStream<Uint8Array>) => consume(stream);
  await tell("encrypt()", () => passed(cipher.encrypt(textStream(megabytes))));
  await tell("encrypt() and decrypt()", () => passed(cipher.decrypt(cipher.encrypt(textStream(megabytes)))));
  await tell("encodeObject()", () => passed(encodeObject(textStream(megabytes))));
  await tell(
    "encodeObject() and encrypt()",
    () => passed(cipher.encrypt(encodeObject(textStream(megabytes)))),
  );
  await tell("both and back: decodeObject()", async () => {
    const stored = cipher.encrypt(encodeObject(textStream(megabytes)));
    await passed((await decodeObject(stored, { cipher })).raw);
  });
  const small = new Uint8Array(500);
  const each = (ms: number) => `${(ms / SMALL_COUNT * 1000).toFixed(0)} µs`;
  const stored = await cipher.encryptBytes(small);
  const inTurn = async (work: () => Promise<unknown>) => {
    for (let nth = 0; nth < SMALL_COUNT; nth++) await work();
  };
  const eightAtOnce = async (work: () => Promise<unknown>) => {
    for (let nth = 0; nth < SMALL_COUNT; nth += 8) await Promise.all(Array.from({ length: 8 }, work));
  };
  for (
    const [name, work] of [
      ["encryptBytes(), 500 bytes", () => cipher.encryptBytes(small)],
      ["decryptBytes(), 500 bytes", () => cipher.decryptBytes(stored)],
    ] as const
  ) {
    const alone = each(await timed(() => inTurn(work)));
    lines.push(
      `${name.padEnd(36)}${alone} each; ${each(await timed(() => eightAtOnce(work)))} eight at once`,
    );
  }
  return [...lines, ...await measureAge(megabytes, { identity, recipient })];
}

/** The `age` program from file to file. */
async function measureAge(
  megabytes: number,
  keys: { identity: string; recipient: string },
): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), "walbrook-bench-"));
  try {
    const [plain, stored, key] = ["plain", "stored", "key"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    const parts: Uint8Array[] = [];
    for await (const chunk of textStream(megabytes)) parts.push(chunk.slice());
    writeFileSync(plain, parts.length === 0 ? "" : Buffer.concat(parts));
    writeFileSync(key, keys.identity);
    const encrypt = await timed(async () => {
      await Promise.resolve(spawnSync("age", ["-e", "-r", keys.recipient, "-o", stored, plain]));
    });
    const decrypt = await timed(async () => {
      await Promise.resolve(spawnSync("age", ["-d", "-i", key, "-o", "/dev/null", stored]));
    });
    const speed = (ms: number) => (megabytes * BLOCK / 1e6 / (ms / 1000)).toFixed(0).padStart(6);
    return [`${"age -e".padEnd(36)}${speed(encrypt)} MB/s`, `${"age -d".padEnd(36)}${speed(decrypt)} MB/s`];
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) {
  for (const line of await measure(Number(process.argv[2] ?? 256))) process.stdout.write(`${line}\n`);
}
