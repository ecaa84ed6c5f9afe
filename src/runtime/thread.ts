/** Other threads of this process. */

/**
 * Start a thread that runs `source`, a whole module: in one piece with its text a single executable has it too. It does
 * not keep the process alive once it is terminated.
 *
 * @throws {Error} when the system gives none; what fails later comes to `onerror`
 */
export function startThread(source: string): Worker {
  // Not of a Blob: in what older versions of `deno compile` make that is not found (denoland/deno#29962).
  return new Worker(`data:text/javascript,${encodeURIComponent(source)}`, { type: "module" });
}
