/** How often and when a failed request is sent again. */

/** Bounds of the tries of one request. A request that succeeded is progress: the next one begins afresh. */
export interface RetryOptions {
  /** Tries in all. Default 8. */
  readonly tries?: number | undefined;
  /** Upper bound of the first wait; doubles with each try. Default 100. */
  readonly firstWaitMs?: number | undefined;
  /** Upper bound of any wait but for what a server asks for. Default 10,000. */
  readonly longestWaitMs?: number | undefined;
  /**
   * How long the tries go on in any case once the server has answered a request as it should, counted from the first
   * that failed. Default 0: for who tries again by himself.
   */
  readonly keepTryingMs?: number | undefined;
  /** A number from 0 up to 1. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/** Every bound set. */
export type RetryPolicy = { readonly [Key in keyof RetryOptions]-?: NonNullable<RetryOptions[Key]> };

/** About half a minute at worst, four seconds on average without a server that asks for more. */
export const RETRY_DEFAULTS: RetryPolicy = {
  tries: 8,
  firstWaitMs: 100,
  longestWaitMs: 10_000,
  keepTryingMs: 0,
  random: Math.random,
};

/**
 * The wait before try `attempt + 1`: anything up to the bound, so that many clients that failed at once don't come
 * back at once, on top of what the server asked for.
 */
export function waitBefore(
  attempt: number,
  { policy, askedMs = 0 }: { policy: RetryPolicy; askedMs?: number | undefined },
): number {
  const bound = Math.min(policy.longestWaitMs, policy.firstWaitMs * 2 ** (attempt - 1));
  return askedMs + policy.random() * bound;
}
