import type { HttpResponse } from "../../runtime/http.ts";
import { readText, StallError, within } from "./http_body.ts";

/** More than a listing of 1000 of the longest keys takes. */
const LONGEST_TEXT = 16 * 1024 * 1024;

/** One try of a request: its signal, its answer, and how long silence is borne. */
export class Exchange {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #stallMs: number;
  readonly #abort = () => this.#controller.abort(this.#outer?.reason);
  #response: HttpResponse | undefined;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  /** Nothing of the body is left. */
  #isAtEnd = false;

  /** @param signal ends the exchange with its reason */
  constructor(signal: AbortSignal | undefined, { stallMs }: { stallMs: number }) {
    this.#outer = signal;
    this.#stallMs = stallMs;
    if (signal?.aborted) this.#abort();
    else signal?.addEventListener("abort", this.#abort, { once: true });
  }

  /** The head of the answer. */
  get response(): HttpResponse {
    return this.#response!;
  }

  /** Have `send` get the head of the answer in `limitMs`. */
  async begin(
    send: (signal: AbortSignal) => Promise<HttpResponse>,
    { limitMs }: { limitMs: number },
  ): Promise<void> {
    const timer = setTimeout(
      () => this.#controller.abort(new StallError(`no answer in ${Math.ceil(limitMs / 1000)} s`)),
      limitMs,
    );
    try {
      this.#response = await send(this.#controller.signal);
    } catch (error) {
      throw this.#explain(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The whole body as text. */
  async text(): Promise<string> {
    try {
      const text = await readText(this.response.body, { limit: LONGEST_TEXT, watch: this.#watch });
      this.#isAtEnd = true;
      return text;
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** The whole body, in memory of its own: all of it has to come in the time that silence is borne. */
  async whole(): Promise<Uint8Array<ArrayBuffer>> {
    const stallMs = this.#stallMs;
    const stalled = () => this.#controller.abort(new StallError(`no whole body in ${stallMs} ms`));
    const timer = setTimeout(stalled, stallMs);
    try {
      const whole = await this.response.whole();
      this.#isAtEnd = true;
      return whole;
    } catch (error) {
      throw this.#explain(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The next chunk of the body, valid until the next call; `undefined` at its end. */
  async read(): Promise<Uint8Array | undefined> {
    const body = this.response.body;
    if (body === null) return undefined;
    this.#reader ??= body.getReader();
    try {
      const { done, value } = await within(this.#reader.read(), this.#watch);
      this.#isAtEnd = done;
      return done ? undefined : value;
    } catch (error) {
      throw this.#explain(error);
    }
  }

  /** The exchange is over: let go of the signal and of what is left of the answer. */
  finish(): void {
    this.#outer?.removeEventListener("abort", this.#abort);
    if (this.#isAtEnd) return;
    // Fails when the connection is gone, which is as well.
    (this.#reader ?? this.#response?.body)?.cancel().catch(() => {});
  }

  get #watch(): { stallMs: number; abort(reason: Error): void } {
    return { stallMs: this.#stallMs, abort: (reason) => this.#controller.abort(reason) };
  }

  /** What ended an exchange is the reason of its signal, however the runtime words it. */
  #explain(error: unknown): unknown {
    return this.#controller.signal.aborted ? this.#controller.signal.reason : error;
  }
}
