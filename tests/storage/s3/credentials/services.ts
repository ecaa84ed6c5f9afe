/** Fakes of the services that give keys, written from their documented protocols. */
import { createServer, type IncomingMessage } from "node:http";

/** A request that a fake got. */
export interface ServiceRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** What it answers. */
export interface ServiceAnswer {
  readonly status?: number;
  readonly body: string;
}

/** A fake that runs: `await using`. */
export interface FakeService extends AsyncDisposable {
  readonly url: string;
  readonly requests: ServiceRequest[];
}

/** Start a fake that answers as `answer` says; `undefined` is silence. */
export async function startService(
  answer: (request: ServiceRequest) => ServiceAnswer | undefined,
): Promise<FakeService> {
  const requests: ServiceRequest[] = [];
  const server = createServer(async (incoming, outgoing) => {
    let body = "";
    for await (const chunk of incoming) body += new TextDecoder().decode(chunk as Uint8Array);
    const request = { method: incoming.method!, path: incoming.url!, headers: incoming.headers, body };
    requests.push(request);
    const given = answer(request);
    if (given === undefined) return;
    outgoing.writeHead(given.status ?? 200);
    outgoing.end(given.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
