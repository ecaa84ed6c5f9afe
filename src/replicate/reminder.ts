/** When something that stays bad is said again: once, then with growing gaps; decided from plain values. */

/** What was said of one thing that is bad; `undefined` while it is good. */
export interface Reminder {
  readonly saidMs: number;
  /** How long after that it is said again. */
  readonly gapMs: number;
}

/** What is to be said now. */
export interface ReminderStep {
  readonly say: "bad" | "good again" | undefined;
  readonly next: Reminder | undefined;
}

/** Gaps don't grow beyond this. */
const LONGEST_GAP_MS = 6 * 3600_000;

/**
 * What to say of a thing that is bad or good now.
 *
 * @param options.firstGapMs before it is said for the second time; the gap doubles each time
 */
export function remind(
  reminder: Reminder | undefined,
  { isBad, nowMs, firstGapMs }: { isBad: boolean; nowMs: number; firstGapMs: number },
): ReminderStep {
  if (!isBad) return { say: reminder === undefined ? undefined : "good again", next: undefined };
  if (reminder === undefined) return { say: "bad", next: { saidMs: nowMs, gapMs: firstGapMs } };
  if (nowMs - reminder.saidMs < reminder.gapMs) return { say: undefined, next: reminder };
  return { say: "bad", next: { saidMs: nowMs, gapMs: Math.min(2 * reminder.gapMs, LONGEST_GAP_MS) } };
}
