/** HTTPS without a look at the server's certificate: neither runtime's `fetch` can do that alike. */
import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import { Agent, request as sendHttps } from "node:https";
import { readAll } from "../bytes.ts";
import type { HttpRequest, HttpResponse } from "./http.ts";

let agent: Agent | undefined;

/** Send `request` to an `https:` URL, trusting whatever certificate the server shows. */
export function sendUnverified(
  { url, method, headers, body, signal, isSentOnce }: HttpRequest,
): Promise<HttpResponse> {
  agent ??= new Agent({ keepAlive: true, rejectUnauthorized: false });
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const length = body === undefined && !["PUT", "POST"].includes(method)
      ? {}
      : { "content-length": String(body?.length ?? 0) };
    const outgoing = sendHttps(url, {
      method,
      agent: isSentOnce === true ? false : agent!,
      headers: { ...headers, ...length },
      rejectUnauthorized: false,
    });
    let incoming: IncomingMessage | undefined;
    const abort = () => {
      incoming?.destroy(signal!.reason as Error);
      outgoing.destroy(signal!.reason as Error);
      reject(signal!.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    const forget = () => signal?.removeEventListener("abort", abort);
    outgoing.on("error", (error) => {
      forget();
      reject(signal?.aborted ? signal.reason : error);
    });
    outgoing.on("response", (message) => {
      incoming = message;
      message.on("close", forget);
      const stream = streamMessage(message, signal);
      resolve({
        status: message.statusCode ?? 0,
        headers: headersOf(message),
        body: stream,
        whole: () => readAll(stream, { limit: Infinity }),
      });
    });
    outgoing.end(body === undefined ? undefined : Buffer.from(body.buffer, body.byteOffset, body.byteLength));
  });
}

function headersOf(message: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(message.headers)) {
    for (const one of [value ?? []].flat()) headers.append(name, one);
  }
  return headers;
}

function streamMessage(
  message: IncomingMessage,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array> {
  const chunks = message[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (!done) return controller.enqueue(value);
      } catch (error) {
        throw signal?.aborted ? signal.reason : error;
      }
      // A message that was cut ends like a whole one in some versions.
      if (!message.complete) throw new TypeError("connection closed before the body was whole");
      controller.close();
    },
    cancel: () => void message.destroy(),
  }, { highWaterMark: 0 });
}
