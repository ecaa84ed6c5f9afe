/** Other threads of this process. */

/**
 * Start a thread that runs `text`, a whole module: in one piece with it a single executable has it too.
 *
 * @throws {Error} when the system gives none; what fails later comes to `onerror`
 */
export function startThread(text: string): Worker {
  // Not of a Blob: in what older versions of `deno compile` make that is not found (denoland/deno#29962).
  const source = `data:text/javascript,${encodeURIComponent(text)}`;
  return new Worker(source, { type: "module" });
}
