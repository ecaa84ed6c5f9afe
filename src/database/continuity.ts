/** What a generation stands for, and when it has to end. */

/** Frames may be gone that we never saw, or that our copy has lost: the generation has to end. */
export class ContinuityLostError extends Error {
  override readonly name = "ContinuityLostError";
}
