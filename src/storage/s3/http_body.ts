/** Reading bodies of answers with a bound on their size and on the time without a byte. */

/** A connection from which nothing came for too long. */
export class StallError extends Error {
  override readonly name = "StallError";
}

/**
 * What `reading` gives, a chunk of a body; after `stallMs` without one `abort` is called with a `StallError`, which is
 * thrown.
 */
export async function within<T>(
  reading: Promise<T>,
  { stallMs, abort }: { stallMs: number; abort(reason: Error): void },
): Promise<T> {
  const stalled = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const error = new StallError(`no byte in ${stallMs} ms`);
    abort(error);
    stalled.reject(error);
  }, stallMs);
  try {
    return await Promise.race([reading, stalled.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A small body as text. Without `watch` the caller bounds the time. */
export async function readText(
  body: ReadableStream<Uint8Array> | null,
  { limit, watch }: { limit: number; watch?: { stallMs: number; abort(reason: Error): void } },
): Promise<string> {
  if (body === null) return "";
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for (;;) {
    const { done, value } = await (watch === undefined ? reader.read() : within(reader.read(), watch));
    if (done || value === undefined) return text + decoder.decode();
    size += value.length;
    if (size > limit) {
      await reader.cancel();
      throw new Error(`the answer is longer than ${limit} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}
