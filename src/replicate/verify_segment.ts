/** The last look at a segment before it becomes visible in a replica: shadow files lie on a disk, and disks err. */
import { ContinuityLostError } from "../database/continuity.ts";
import type { Segment } from "../database/segment.ts";
import { describeError } from "../errors.ts";
import { formatPosition } from "../position.ts";
import { BrokenWalError, FrameChecker } from "../wal/frame_checker.ts";

/** A segment's bytes on their way, and what was found wrong with them. */
export interface VerifiedBytes {
  /** Fails before its end when a frame does not continue the one before. */
  readonly bytes: ReadableStream<Uint8Array>;
  /** Why the stream failed, when that was the shadow WAL's fault; only a new generation helps then. */
  readonly problem: () => ContinuityLostError | undefined;
}

/**
 * All bytes of `segment`, in `into`, which is as long as they are.
 *
 * @param pageSize that of the database
 * @throws {ContinuityLostError} when a frame does not continue the one before; only a new generation helps then
 */
export async function readVerified(
  segment: Segment,
  { into, pageSize }: { into: Uint8Array; pageSize: number },
): Promise<void> {
  const checker = new FrameChecker(segment.chain());
  await segment.readInto(into);
  try {
    accept(into, { checker, pageSize });
    checker.end();
  } catch (error) {
    throw explain(error, segment);
  }
}

/**
 * The bytes of `segment`, each frame checked against the one before and, at the start of an index, the header.
 *
 * @param pageSize that of the database
 */
export function verifySegment(segment: Segment, { pageSize }: { pageSize: number }): VerifiedBytes {
  let problem: ContinuityLostError | undefined;
  const checked = async function* () {
    const checker = new FrameChecker(segment.chain());
    for await (const chunk of segment.read()) {
      accept(chunk, { checker, pageSize });
      yield chunk;
    }
    checker.end();
  };
  const explained = (error: unknown) => {
    const reason = explain(error, segment);
    if (reason instanceof ContinuityLostError) problem = reason;
    return reason;
  };
  return { bytes: streamFrom(checked(), explained), problem: () => problem };
}

function accept(
  bytes: Uint8Array,
  { checker, pageSize }: { checker: FrameChecker; pageSize: number },
): void {
  checker.accept(bytes);
  if (checker.pageSize !== undefined && checker.pageSize !== pageSize) {
    throw new BrokenWalError(`page size ${checker.pageSize}, not ${pageSize}`, 0);
  }
}

function explain(error: unknown, segment: Segment): unknown {
  if (!(error instanceof BrokenWalError)) return error;
  const position = formatPosition({ ...segment, offset: segment.offset + error.length });
  return new ContinuityLostError(
    `replica ${describeError(error)}: ${position}: the shadow wal ${segment.path} is damaged`,
  );
}

function streamFrom(
  chunks: AsyncGenerator<Uint8Array>,
  explain: (error: unknown) => unknown,
): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        throw explain(error);
      }
    },
    async cancel() {
      await chunks.return(undefined);
    },
  }, { highWaterMark: 0 });
}
