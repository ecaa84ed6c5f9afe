/** The address of the metrics server, as Litestream writes it. */
import { UsageError } from "../errors.ts";

/** A host and a port; the port need not be a number yet. */
export interface BindAddress {
  /** Without brackets; empty: all interfaces. */
  readonly host: string;
  readonly port: string;
}

/**
 * `host:port`, `:port` or `[::1]:port`.
 *
 * @throws {UsageError} when there is no port
 */
export function parseBindAddress(addr: string): BindAddress {
  const match = /^(?:\[([^\[\]]*)\]|([^:\[\]]*)):([^:\[\]]+)$/.exec(addr);
  if (match === null) throw new UsageError(`must specify port for bind address: "${addr}"`);
  const [, bracketed, plain, port] = match;
  return { host: bracketed ?? plain ?? "", port: port! };
}

/** Where `path` of a server is to be found; all interfaces are shown as `localhost`. */
export function serverUrl({ host, port }: BindAddress, path: string): string {
  const shown = host === "" ? "localhost" : host.includes(":") ? `[${host}]` : host;
  return `http://${shown}:${port}${path}`;
}
