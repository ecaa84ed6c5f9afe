/** A proxy that knows nothing of HTTP: latency, bandwidth, resets, silence. */
import { serverProgram } from "./install.ts";
import { startServer } from "./process.ts";

/** A toxic as toxiproxy's own API takes it. */
export interface Toxic {
  readonly type: "latency" | "bandwidth" | "reset_peer" | "timeout" | "limit_data" | "slow_close" | "slicer";
  /** `upstream`: what the client sends. Default `downstream`. */
  readonly stream?: "upstream" | "downstream";
  /** Share of the connections that it works on, from 0 to 1. Default 1. */
  readonly toxicity?: number;
  readonly attributes: Readonly<Record<string, number>>;
}

/** One proxied port. */
export interface ToxicProxy {
  readonly port: number;
  /** Connections that are open are affected too. */
  add(toxic: Toxic): Promise<void>;
  /** Without any toxics again. */
  clear(): Promise<void>;
  /** Refuse connections, and end those that are open; or let them in again. */
  enable(isEnabled: boolean): Promise<void>;
}

/** A toxiproxy that runs. */
export interface Toxiproxy {
  open(options: { upstreamPort: number }): Promise<ToxicProxy>;
  stop(): Promise<void>;
}

/** Start toxiproxy on a free port of 127.0.0.1. */
export async function startToxiproxy(): Promise<Toxiproxy> {
  const server = await startServer({
    program: serverProgram("toxiproxy"),
    args: (port) => ["-host", "127.0.0.1", "-port", String(port)],
    readyPath: "/version",
  });
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`toxiproxy refuses ${method} ${path}: ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  };
  let proxyCount = 0;
  return {
    async open({ upstreamPort }) {
      const name = `proxy${++proxyCount}`;
      const made = await call("POST", "/proxies", {
        name,
        listen: "127.0.0.1:0",
        upstream: `127.0.0.1:${upstreamPort}`,
        enabled: true,
      }) as { listen: string };
      const toxics: string[] = [];
      return {
        port: Number(made.listen.split(":").at(-1)),
        async add(toxic) {
          const toxicName = `toxic${toxics.length}`;
          await call("POST", `/proxies/${name}/toxics`, {
            stream: "downstream",
            toxicity: 1,
            ...toxic,
            name: toxicName,
          });
          toxics.push(toxicName);
        },
        async clear() {
          for (const toxic of toxics.splice(0)) await call("DELETE", `/proxies/${name}/toxics/${toxic}`);
        },
        enable: async (enabled) => void await call("POST", `/proxies/${name}`, { enabled }),
      };
    },
    stop: () => server.stop(),
  };
}
