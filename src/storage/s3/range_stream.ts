/** Streams over the ranges of one object. */
import type { Exchange } from "./exchange.ts";

/** How a large object is read. */
export interface RangesOptions {
  readonly start: number;
  /** The byte after the last. */
  readonly end: number;
  readonly rangeSize: number;
  /** Ranges asked for at once; as many buffers of `rangeSize` are held. */
  readonly concurrency: number;
  readonly signal: AbortSignal | undefined;
  /** The answer that begins at `start`. */
  readonly first: { readonly exchange: Exchange; readonly end: number };
  open(part: { start: number; end: number }, signal: AbortSignal): Promise<Exchange>;
  /** Wait before try `tries + 1` of a range that broke off. */
  pause(tries: number, signal: AbortSignal): Promise<void>;
  /** How often in succession a range may break off without a new byte. */
  readonly tries: number;
  /** The error to end with when they are used up. */
  explain(error: unknown, tries: number): Error;
}

/**
 * The bytes from `start` to `end` in order; ranges come side by side, each goes on at the byte where it broke off.
 * A chunk is valid only until the next one is read.
 */
export function streamRanges(options: RangesOptions): ReadableStream<Uint8Array> {
  const { start, end, rangeSize, concurrency, signal, first } = options;
  const ended = new AbortController();
  const edges: { start: number; end: number }[] = [{ start, end: Math.min(first.end, end) }];
  for (let at = edges[0]!.end; at < end; at += rangeSize) {
    edges.push({ start: at, end: Math.min(end, at + rangeSize) });
  }
  const buffers: Uint8Array[] = [];
  const filling: Promise<Uint8Array>[] = [];

  function begin(index: number): void {
    const edge = edges[index];
    if (edge === undefined) return;
    const buffer = buffers[index % concurrency] ??= new Uint8Array(rangeSize);
    const into = buffer.subarray(0, edge.end - edge.start);
    const opened = index === 0 ? first.exchange : undefined;
    const filled = fillRange(into, {
      ...options,
      start: edge.start,
      end: edge.end,
      opened,
      signal: ended.signal,
    });
    filled.catch(() => {}); // Seen by who reads that far.
    filling[index] = filled;
  }

  function finish(reason?: unknown): void {
    signal?.removeEventListener("abort", abort);
    ended.abort(reason ?? new Error("the stream was cancelled"));
    first.exchange.finish();
  }
  let abort = () => {};
  let next = 0;
  return new ReadableStream<Uint8Array>({
    start(controller) {
      abort = () => {
        controller.error(signal?.reason);
        finish(signal?.reason);
      };
      signal?.addEventListener("abort", abort, { once: true });
      for (let index = 0; index < concurrency; index++) begin(index);
    },
    async pull(controller) {
      // The buffer that was given out last is free now.
      if (next > 0) begin(next - 1 + concurrency);
      const filled = filling[next];
      if (filled === undefined) {
        finish();
        return controller.close();
      }
      delete filling[next];
      next++;
      try {
        controller.enqueue(await filled);
      } catch (error) {
        if (signal?.aborted) return;
        finish(error);
        throw error;
      }
      if (next === edges.length) {
        finish();
        controller.close();
      }
    },
    cancel: finish,
  }, { highWaterMark: 0 });
}

interface RangeJob {
  readonly start: number;
  readonly end: number;
  readonly opened: Exchange | undefined;
  readonly signal: AbortSignal;
}

async function fillRange(into: Uint8Array, options: RangesOptions & RangeJob): Promise<Uint8Array> {
  const { start, end, opened, signal, open, pause, explain } = options;
  let filled = 0;
  let exchange = opened;
  for (let tries = 1;; tries++) {
    // This has its own tries.
    exchange ??= await open({ start: start + filled, end }, signal);
    const before = filled;
    try {
      while (filled < into.length) {
        const chunk = await exchange.read();
        signal.throwIfAborted();
        if (chunk === undefined) {
          throw new Error(`the body ended at byte ${start + filled} instead of ${end}`);
        }
        into.set(chunk.subarray(0, into.length - filled), filled);
        filled += chunk.length;
      }
      exchange.finish();
      return into;
    } catch (error) {
      exchange.finish();
      exchange = undefined;
      if (signal.aborted) throw error;
      if (filled > before) tries = 1;
      if (tries >= options.tries) throw explain(error, tries);
      await pause(tries, signal);
    }
  }
}

/** The rest of an answer that begins with byte 0 of its object, from `start` to `end`. */
export function streamRest(
  exchange: Exchange,
  { start, end, signal, explain }: {
    start: number;
    end: number;
    signal: AbortSignal | undefined;
    explain: RangesOptions["explain"];
  },
): ReadableStream<Uint8Array> {
  let position = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        for (;;) {
          const chunk = position < end ? await exchange.read() : undefined;
          if (chunk === undefined) {
            exchange.finish();
            if (position < end && end !== Infinity) throw new Error(`the body ended at byte ${position}`);
            return controller.close();
          }
          const from = Math.max(0, start - position);
          const wanted = chunk.subarray(from, Math.max(from, end - position));
          position += chunk.length;
          if (wanted.length > 0) return controller.enqueue(wanted);
        }
      } catch (error) {
        exchange.finish();
        throw signal?.aborted ? signal.reason : explain(error, 1);
      }
    },
    cancel: () => exchange.finish(),
  }, { highWaterMark: 0 });
}
