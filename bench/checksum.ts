/** How fast the WAL checksum and the frame scan are, warm: `deno run -A bench/checksum.ts`, `bun bench/checksum.ts`. */
import { RunningChecksum, wordsOf } from "../src/wal/checksum.ts";
import { chainOf, scanFrames } from "../src/wal/frames.ts";
import { parseWalHeader } from "../src/wal/header.ts";
import { framesOf, makeWal } from "../tests/wal/made_wal.ts";

const BYTES = 32 << 20;
const ROUND_COUNT = 20;

function measure(name: string, act: () => void): void {
  for (let round = 0; round < 3; round++) act();
  const startMs = performance.now();
  for (let round = 0; round < ROUND_COUNT; round++) act();
  const seconds = (performance.now() - startMs) / 1000;
  console.log(`${name}: ${Math.round(BYTES * ROUND_COUNT / 1e6 / seconds)} MB/s`);
}

const words = wordsOf(crypto.getRandomValues(new Uint8Array(65536)));
for (const bigEndian of [false, true]) {
  const running = new RunningChecksum(bigEndian);
  measure(`checksum, ${bigEndian ? "big" : "little"}-endian words`, () => {
    for (let done = 0; done < BYTES; done += 65536) running.update(words, 0, words.length);
  });
}
const frames = Array.from(
  { length: BYTES / 4096 },
  (_, at) => ({ pageNumber: at + 1, pageCount: at + 1 }),
);
const wal = makeWal({ pageSize: 4096, frames });
// As the copying does it, a megabyte at a time.
const bytes = framesOf(wal).slice();
const chain = chainOf(parseWalHeader(wal));
measure("scanFrames(), pages of 4096", () => {
  if (scanFrames(bytes, chain).frameCount !== frames.length) throw new Error("not all frames");
});
