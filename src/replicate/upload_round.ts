/** A round of uploads: one segment after the other, without a rest. */
import type { Round } from "./upload_pace.ts";
import type { SegmentUpload } from "./upload_segment.ts";
import { comparePositions, type Position } from "../position.ts";
import type { Clock } from "../runtime/clock.ts";

/** What a round is made of. */
export interface RoundParts {
  /** The upload of what follows a position; `undefined` when there is nothing yet. */
  readonly uploadAt: (position: Position) => SegmentUpload | undefined;
  /** Store it. */
  readonly send: (upload: SegmentUpload) => Promise<void>;
  readonly clock: Clock;
}

/**
 * Send what follows `from`, at least as far as `target` unless there is less. The next segment is prepared while one
 * is sent, but never sent before that one is stored: a restore must not find a hole.
 *
 * @returns `undefined` when there was nothing to send
 * @throws {unknown} what `uploadAt` and `send` fail with; what was prepared is let go then
 */
export async function sendUpTo(
  target: Position,
  { from, ...parts }: RoundParts & { readonly from: Position },
): Promise<Round | undefined> {
  const { uploadAt, send, clock } = parts;
  let round: Round | undefined;
  for (let upload = uploadAt(from); upload !== undefined;) {
    const end = endOf(upload);
    // A writer that never rests must not make an endless run of small uploads out of one.
    const isLast = comparePositions(end, target) >= 0;
    // Nor is the next one compressed before this one has been.
    if (!isLast) await upload.prepare();
    const startMs = clock.monotonicMs();
    round = {
      count: (round?.count ?? 0) + 1,
      firstStartMs: round?.firstStartMs ?? startMs,
      lastStartMs: startMs,
    };
    const sending = send(upload);
    const next = isLast ? undefined : prepareAt(end, parts);
    try {
      await sending;
    } catch (error) {
      await next?.discard();
      throw error;
    }
    if (isLast) break;
    upload = next ?? uploadAt(end);
  }
  return round;
}

function endOf({ segment: { generation, index, offset, length } }: SegmentUpload): Position {
  return { generation, index, offset: offset + length };
}

function prepareAt(position: Position, { uploadAt }: RoundParts): SegmentUpload | undefined {
  try {
    const upload = uploadAt(position);
    void upload?.prepare();
    return upload;
  } catch {
    return undefined; // It fails again when it is its turn.
  }
}
