import type { OpenFile } from "../runtime/files.ts";
import { explainFileError } from "./file_errors.ts";

/** Bytes of the buffer of one stream: a handful of system calls per megabyte, small beside a codec's block. */
const CHUNK_SIZE = 256 * 1024;

/**
 * The bytes of `file` from `start` up to `end` as a stream that owns the file: it is closed with the last byte,
 * on an error, when the stream is cancelled and when the signal fires.
 *
 * A chunk is valid only until the next one is read: there is one buffer.
 */
export function streamFileRange(
  file: OpenFile,
  { start, end, signal }: { start: number; end: number; signal?: AbortSignal | undefined },
): ReadableStream<Uint8Array> {
  const buffer = new Uint8Array(Math.max(0, Math.min(CHUNK_SIZE, end - start)));
  let position = start;
  let reading: Promise<number> | undefined;
  let open = true;
  let abort = () => {};

  /** A descriptor that is closed while a read runs could be another file's by the time the read gets to it. */
  async function finish(): Promise<void> {
    open = false;
    signal?.removeEventListener("abort", abort);
    await reading?.catch(() => {}); // Who waits for the read sees its error.
    file.close();
  }

  return new ReadableStream<Uint8Array>({
    start(controller) {
      if (position >= end) {
        file.close();
        controller.close();
        return;
      }
      abort = () => {
        controller.error(signal?.reason);
        void finish();
      };
      signal?.addEventListener("abort", abort, { once: true });
    },
    async pull(controller) {
      try {
        reading = file.read(buffer.subarray(0, Math.min(buffer.length, end - position)), position);
        const count = await reading;
        if (!open) return;
        if (count === 0) throw new Error(`${file.path} ends at byte ${position}, not at ${end}`);
        position += count;
        if (position >= end) await finish();
        controller.enqueue(buffer.subarray(0, count));
        if (position >= end) controller.close();
      } catch (error) {
        await finish();
        throw explainFileError(error, { verb: "read", path: file.path });
      }
    },
    cancel: finish,
  }, { highWaterMark: 0 });
}
