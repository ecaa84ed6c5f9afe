/**
 * A proxy in front of an S3 server for what toxiproxy can't do: it knows requests, so it counts them, answers
 * some itself, damages bodies, and loses answers.
 */
import { createServer, type IncomingMessage, request as sendHttp, type ServerResponse } from "node:http";

/** A request as the proxy saw it. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query, encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Bytes of the body. */
  readonly size: number;
  /** The kind that providers bill. */
  readonly kind: RequestKind;
}

/** What a request is for the bill. */
export type RequestKind = "LIST" | "PUT" | "GET" | "HEAD" | "DELETE" | "OTHER";

/** What happens to a request. */
export type Fault =
  /** Answered by the proxy; the server never sees it. */
  | {
    readonly act: "answer";
    readonly status: number;
    readonly headers?: Record<string, string>;
    readonly body?: string;
  }
  /** Carried out by the server, but its answer is lost with the connection. */
  | { readonly act: "lose-answer" }
  /** Carried out twice, as by something on the way that tries again; the second answer counts. */
  | { readonly act: "twice" }
  /** Carried out when whoever sent it may have given up, or answered so late; milliseconds. */
  | { readonly act: "delay"; readonly beforeMs?: number; readonly afterMs?: number }
  /** Nothing is ever answered; the server never sees it. */
  | { readonly act: "silence" }
  /** The connection is closed before anything is sent on. */
  | { readonly act: "drop" }
  /** The answer's body stops after so many bytes: closed, or silent for good. */
  | { readonly act: "cut"; readonly after: number; readonly how: "close" | "stall" }
  /** A byte of the body that goes up or comes down is another one. */
  | { readonly act: "corrupt"; readonly which: "request" | "response" }
  /** A listing is answered as it was when it was first asked for (0), or so many times later; without one, as it is. */
  | { readonly act: "old-listing"; readonly nth: number }
  /** The answer's head is changed. */
  | { readonly act: "head"; readonly change: (headers: Record<string, unknown>) => void }
  /** The answer's body is another one. */
  | { readonly act: "body"; readonly change: (text: string) => string };

/** A proxy that runs. */
export interface FaultProxy {
  readonly endpoint: string;
  readonly seen: SeenRequest[];
  /** Asked for each request; `undefined` lets it through. */
  fault: ((request: SeenRequest, number: number) => Fault | undefined) | undefined;
  /** How many of each kind were seen. */
  counts(): Partial<Record<RequestKind, number>>;
  stop(): Promise<void>;
}

/** Start a proxy on a free port of 127.0.0.1. Signatures hold: the Host header goes through as it came. */
export async function startFaultProxy({ upstreamPort }: { upstreamPort: number }): Promise<FaultProxy> {
  const listings = new Map<string, OldAnswer[]>();
  const server = createServer((incoming, outgoing) => {
    handle(incoming, outgoing).catch(() => incoming.socket.destroy());
  });
  const proxy: FaultProxy = {
    endpoint: "",
    seen: [],
    fault: undefined,
    counts() {
      const counts: Partial<Record<RequestKind, number>> = {};
      for (const { kind } of proxy.seen) counts[kind] = (counts[kind] ?? 0) + 1;
      return counts;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await bodyOf(incoming);
    const seen = {
      method: incoming.method!,
      path: incoming.url!,
      headers: incoming.headers,
      size: body.length,
      kind: kindOf(incoming.method!, incoming.url!),
    };
    proxy.seen.push(seen);
    const fault = proxy.fault?.(seen, proxy.seen.length);
    if (fault?.act === "answer") {
      outgoing.writeHead(fault.status, fault.headers);
      outgoing.end(seen.method === "HEAD" ? undefined : fault.body);
      return;
    }
    const old = fault?.act === "old-listing" ? listings.get(seen.path)?.[fault.nth] : undefined;
    if (old !== undefined) {
      outgoing.writeHead(old.status, old.headers);
      return void outgoing.end(old.body);
    }
    if (fault?.act === "silence") return;
    if (fault?.act === "drop") return void incoming.socket.destroy();
    if (fault?.act === "corrupt" && fault.which === "request" && body.length > 0) {
      body[body.length >> 1]! ^= 1;
    }
    if (fault?.act === "delay") await pause(fault.beforeMs);
    if (fault?.act === "twice") await sendOn({ incoming, body, upstreamPort }).then(bodyOf);
    const remember = (answer: OldAnswer) => {
      if (seen.kind === "LIST") listings.set(seen.path, [...listings.get(seen.path) ?? [], answer]);
    };
    await passOn({ incoming, outgoing, body, fault, upstreamPort, remember });
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(proxy, {
    endpoint: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
  });
}

const pause = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

/** The server's answer to a request as it came. */
async function sendOn({ incoming, body, upstreamPort }: {
  incoming: IncomingMessage;
  body: Uint8Array;
  upstreamPort: number;
}): Promise<IncomingMessage> {
  const headers: Record<string, string | string[] | undefined> = { ...incoming.headers };
  delete headers["transfer-encoding"];
  if (body.length > 0 || incoming.method === "PUT" || incoming.method === "POST") {
    headers["content-length"] = String(body.length);
  }
  return await new Promise<IncomingMessage>((resolve, reject) => {
    const upstream = sendHttp({
      host: "127.0.0.1",
      port: upstreamPort,
      method: incoming.method!,
      path: incoming.url!,
      headers,
      setHost: false,
      agent: false,
    }, resolve);
    upstream.on("error", reject);
    upstream.end(body);
  });
}

/** An answer as it was. */
interface OldAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
}

async function passOn({ incoming, outgoing, body, fault, upstreamPort, remember }: {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
  body: Uint8Array;
  fault: Fault | undefined;
  upstreamPort: number;
  remember: (answer: OldAnswer) => void;
}): Promise<void> {
  const response = await sendOn({ incoming, body, upstreamPort });
  let answer = await bodyOf(response);
  if (fault?.act === "delay") await pause(fault.afterMs);
  if (fault?.act === "lose-answer") return void incoming.socket.destroy();
  const heads: Record<string, unknown> = { ...response.headers };
  delete heads["transfer-encoding"];
  delete heads["connection"];
  if (fault?.act === "head") fault.change(heads);
  if (fault?.act === "corrupt" && fault.which === "response" && answer.length > 0) {
    answer[answer.length >> 1]! ^= 1;
  }
  if (fault?.act === "body") {
    answer = new TextEncoder().encode(fault.change(new TextDecoder().decode(answer)));
    heads["content-length"] = String(answer.length);
  }
  if (incoming.method !== "HEAD") heads["content-length"] = String(answer.length);
  remember({ status: response.statusCode!, headers: heads as Record<string, string>, body: answer });
  outgoing.writeHead(response.statusCode!, heads as Record<string, string>);
  if (fault?.act !== "cut" || answer.length <= fault.after) return void outgoing.end(answer);
  await new Promise<void>((resolve) => outgoing.write(answer.subarray(0, fault.after), () => resolve()));
  if (fault.how === "stall") return;
  // Bun throws away what it got but has not given out when the connection goes: as on a real network, the bytes
  // come first.
  await new Promise((resolve) => setTimeout(resolve, 30));
  incoming.socket.end();
}

async function bodyOf(message: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of message) chunks.push(chunk as Uint8Array);
  const bytes = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** As AWS bills: POST that begins and ends uploads is a PUT, POST ?delete is free like DELETE. */
function kindOf(method: string, path: string): RequestKind {
  const query = new URLSearchParams(path.split("?")[1] ?? "");
  if (method === "HEAD") return "HEAD";
  if (method === "DELETE" || query.has("delete")) return "DELETE";
  if (method === "PUT" || method === "POST") return "PUT";
  if (method !== "GET") return "OTHER";
  // Litestream lists by the first version, which is told by its prefix alone.
  return ["list-type", "uploads", "prefix", "delimiter"].some((name) => query.has(name)) ? "LIST" : "GET";
}
