/** A small HTTP server. */
import { lookup } from "node:dns/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { type AddressInfo, isIP } from "node:net";
import { systemCode } from "./system_code.ts";

/** What a server is asked for; bodies are not read. */
export interface ServerRequest {
  readonly method: string;
  /** Without what follows a `?`. */
  readonly path: string;
}

/** A whole answer. */
export interface ServerAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A server that listens. */
export interface HttpServer extends AsyncDisposable {
  readonly port: number;
}

/** Where to listen. */
export interface ListenOptions {
  /** Empty: on all interfaces. A name: on its IPv4 address where it has one, as programs in Go do. */
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
}

/**
 * Answer requests until disposed of; this doesn't keep the process alive.
 *
 * @param answer what it throws is answered with 500, without a word of why
 * @throws {Error} the system's, when the address can't be had
 */
export async function listenHttp(
  { host, port }: ListenOptions,
  answer: (request: ServerRequest) => Promise<ServerAnswer>,
): Promise<HttpServer> {
  const server = createServer((request, response) => {
    void answerSafely(request, answer).then(({ status, headers, body }) => {
      const length = String(new TextEncoder().encode(body).length);
      response.writeHead(status, { ...headers, "content-length": length });
      response.end(request.method === "HEAD" ? undefined : body);
    });
  });
  await bind(server, { host, port });
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      // A scraper keeps its connection open.
      server.closeAllConnections();
      await promise;
    },
  };
}

async function answerSafely(
  request: IncomingMessage,
  answer: (request: ServerRequest) => Promise<ServerAnswer>,
): Promise<ServerAnswer> {
  const [path] = (request.url ?? "/").split("?");
  try {
    return await answer({ method: request.method ?? "GET", path: path! });
  } catch {
    return { status: 500, headers: { "content-type": "text/plain" }, body: "internal error\n" };
  }
}

async function bind(server: Server, { host, port }: ListenOptions): Promise<void> {
  if (host !== "") return await listen(server, { host: await addressOf(host), port });
  try {
    await listen(server, { host: "::", port });
  } catch (error) {
    // A machine without IPv6.
    if (systemCode(error) === "EADDRINUSE") throw error;
    await listen(server, { host: "0.0.0.0", port });
  }
}

/** Bun takes the address of a name that comes first, which for `localhost` may be `::1` alone. */
async function addressOf(host: string): Promise<string> {
  if (isIP(host) !== 0) return host;
  // What is not found here the system may know all the same: listening tells.
  const addresses = await lookup(host, { all: true }).catch(() => []);
  return addresses.find(({ family }) => family === 4)?.address ?? host;
}

function listen(server: Server, options: ListenOptions): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(options, () => {
    server.off("error", reject);
    resolve();
  });
  return promise;
}
