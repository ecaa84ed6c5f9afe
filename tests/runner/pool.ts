/** Some jobs at once, each lane taking the next one as soon as it is free. */

/** What `runPool()` takes besides its jobs. */
export interface PoolOptions<Job, Result> {
  /** Jobs at once. */
  readonly laneCount: number;
  readonly run: (job: Job) => Promise<Result>;
  /** Jobs that nobody takes before `until`; a lane goes on with others as long as there are some. */
  readonly held?: { readonly isHeld: (job: Job) => boolean; readonly until: Promise<void> };
  /** After it no job begins; those that run are the business of `run`. */
  readonly signal?: AbortSignal;
}

/**
 * Run the jobs, started in their order.
 *
 * @returns the results in the order in which the jobs were started; fewer than jobs after `signal`
 * @throws what `run` or `until` rejected with first, once every lane has ended
 */
export async function runPool<Job, Result>(
  jobs: readonly Job[],
  { laneCount, run, held, signal }: PoolOptions<Job, Result>,
): Promise<Result[]> {
  const waiting = [...jobs];
  const results: Promise<Result>[] = [];
  let isLetGo = held === undefined;
  let hasFailed = false;
  const lane = async () => {
    try {
      while (waiting.length > 0 && !hasFailed && !signal?.aborted) {
        const at = isLetGo ? 0 : waiting.findIndex((job) => !held!.isHeld(job));
        if (at < 0) {
          await held!.until;
          isLetGo = true;
          continue;
        }
        const result = run(waiting.splice(at, 1)[0]!);
        results.push(result);
        await result;
      }
    } catch (error) {
      hasFailed = true;
      throw error;
    }
  };
  held?.until.then(() => isLetGo = true, () => {});
  const ends = await Promise.allSettled(Array.from({ length: laneCount }, lane));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
  return await Promise.all(results);
}
