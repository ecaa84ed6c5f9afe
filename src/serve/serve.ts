/** The HTTP server of a run: `/metrics` and `/health`. */
import { type BindAddress, serverUrl } from "./bind_address.ts";
import { formatHealth } from "./health_json.ts";
import type { MetricsRegistry } from "./metrics_registry.ts";
import { describeError } from "../errors.ts";
import { type Logger, silentLogger } from "../logger.ts";
import type { HealthReport } from "../replicate/inspect.ts";
import { listenHttp, type ServerAnswer, type ServerRequest } from "../runtime/http_server.ts";

/** What is served. */
export interface ServeOptions {
  readonly address: BindAddress;
  readonly registry: MetricsRegistry;
  /** How everything stands now. */
  readonly report: () => HealthReport;
  readonly logger?: Logger | undefined;
}

/** A server, or nothing where the address could not be had. */
export interface Served extends AsyncDisposable {
  /** Of the metrics; `undefined` when nothing is served. */
  readonly url: string | undefined;
}

/**
 * Serve until disposed of. That the address can't be had is only logged: replication goes before its metrics.
 */
export async function serve(options: ServeOptions): Promise<Served> {
  const { address: { host, port }, logger = silentLogger } = options;
  try {
    const server = await listenHttp(
      { host, port: portNumber(port) },
      (request) => answer(request, options),
    );
    const url = serverUrl({ host, port: String(server.port) }, "/metrics");
    logger.info("serving metrics on", { url });
    return { url, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  } catch (error) {
    logger.error("cannot start metrics server", { addr: `${host}:${port}`, error: describeError(error) });
    return { url: undefined, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
}

function portNumber(port: string): number {
  const number = /^\d{1,5}$/.test(port) ? Number(port) : NaN;
  if (!(number <= 65535)) throw new Error(`port ${port} is no number from 0 to 65535`);
  return number;
}

async function answer(
  { method, path }: ServerRequest,
  { registry, report }: ServeOptions,
): Promise<ServerAnswer> {
  if (path !== "/metrics" && path !== "/health") return plain(404, "404 page not found\n");
  if (method !== "GET" && method !== "HEAD") {
    const { status, headers, body } = plain(405, "only GET and HEAD\n");
    return { status, headers: { ...headers, allow: "GET, HEAD" }, body };
  }
  const now = report();
  if (path === "/metrics") {
    return { status: 200, headers: { "content-type": registry.contentType }, body: await registry.text(now) };
  }
  return {
    status: now.isHealthy ? 200 : 503,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: formatHealth(now),
  };
}

function plain(status: number, body: string): ServerAnswer {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body };
}
