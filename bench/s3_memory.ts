/**
 * Memory and speed of one large stream to an S3 server on this machine and back:
 * `deno run -A bench/s3_memory.ts [MiB]`, `bun bench/s3_memory.ts [MiB]`.
 */
import process from "node:process";
import { S3Store } from "../src/storage/s3/s3_store.ts";
import { startMinio } from "../tests/servers/s3_servers.ts";

const MIB = 1024 * 1024;
const sizeMib = Number(process.argv[2] ?? 1024);

/** A stream of `sizeMib` in chunks of 256 KiB that are all the same buffer. */
function source(): ReadableStream<Uint8Array> {
  const chunk = new Uint8Array(MIB / 4);
  for (let at = 0; at < chunk.length; at += 65_536) crypto.getRandomValues(chunk.subarray(at, at + 65_536));
  let left = sizeMib * 4;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (left-- === 0) return controller.close();
      chunk[0] = left & 255;
      controller.enqueue(chunk);
    },
  }, { highWaterMark: 0 });
}

async function measure(name: string, act: () => Promise<void>): Promise<void> {
  const before = process.memoryUsage().rss;
  let most = before;
  const timer = setInterval(() => most = Math.max(most, process.memoryUsage().rss), 10);
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await act();
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(timer);
  const mib = (bytes: number) => Math.round(bytes / MIB);
  console.log(
    `${name}: ${sizeMib} MiB in ${seconds.toFixed(1)} s, ${Math.round(sizeMib / seconds)} MiB/s, CPU ${
      ((user + system) / 1e6).toFixed(1)
    } s, RSS ${mib(before)} MiB before, ${mib(most)} MiB at most`,
  );
}

const server = await startMinio();
try {
  const { bucket, endpoint, credentials } = server;
  await using store = new S3Store({ bucket, endpoint, credentials, path: "bench" });
  await measure("upload", async () => void await store.put("large", source()));
  await measure("download", async () => {
    let size = 0;
    for await (const chunk of await store.get("large")) size += chunk.length;
    if (size !== sizeMib * MIB) throw new Error(`got ${size} bytes`);
  });
} finally {
  await server.stop();
}
