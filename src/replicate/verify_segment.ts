/** The last look at a segment before it becomes visible in a replica: shadow files lie on a disk, and disks err. */
import { ContinuityLostError } from "../database/follower.ts";
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
 * The bytes of `segment`, each frame checked against the one before and, at the start of an index, the header.
 *
 * @param pageSize that of the database
 */
export function verifySegment(segment: Segment, { pageSize }: { pageSize: number }): VerifiedBytes {
  let problem: ContinuityLostError | undefined;
  const checked = async function* () {
    const checker = new FrameChecker(segment.chain());
    for await (const chunk of segment.read()) {
      checker.accept(chunk);
      if (checker.pageSize !== undefined && checker.pageSize !== pageSize) {
        throw new BrokenWalError(`page size ${checker.pageSize}, not ${pageSize}`, 0);
      }
      yield chunk;
    }
    checker.end();
  };
  const explain = (error: unknown) => {
    if (!(error instanceof BrokenWalError)) return error;
    const position = formatPosition({ ...segment, offset: segment.offset + error.length });
    return problem = new ContinuityLostError(
      `replica ${describeError(error)}: ${position}: the shadow wal ${segment.path} is damaged`,
    );
  };
  return { bytes: streamFrom(checked(), explain), problem: () => problem };
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
