/** The signals that end a run. */
import { type EndSignal, exitProcess, onSignal } from "../runtime/process.ts";

/** SIGINT and SIGTERM, taken until disposed of. */
export class EndSignals implements Disposable {
  /** Fires with the first signal, whose name its reason holds. */
  readonly aborted: AbortSignal;
  /** The first signal. */
  readonly first: Promise<EndSignal>;
  /** What a further signal does. Whoever asks twice doesn't want to wait for the last uploads: it ends the process. */
  onRepeated: (signal: EndSignal) => void = () => exitProcess(1);
  readonly #listening: Disposable;

  constructor() {
    const aborting = new AbortController();
    const first = Promise.withResolvers<EndSignal>();
    this.aborted = aborting.signal;
    this.first = first.promise;
    this.#listening = onSignal(["SIGINT", "SIGTERM"], (signal) => {
      if (aborting.signal.aborted) return this.onRepeated(signal);
      aborting.abort(new Error(`stopped by ${signal}`));
      first.resolve(signal);
    });
  }

  [Symbol.dispose](): void {
    this.#listening[Symbol.dispose]();
  }
}
