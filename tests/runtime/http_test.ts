import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import process from "node:process";
import { test } from "node:test";
import { promisify } from "node:util";
import { openHttpClient } from "../../src/runtime/http.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { makeCertificate } from "../servers/certificates.ts";
import type { ServerCertificate } from "../servers/s3_servers.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A server whose answers are those of `answer`, once a request is there whole. */
async function serve(
  answer: Answer,
  { tls }: { tls?: ServerCertificate | undefined } = {},
): Promise<{ readonly url: string } & AsyncDisposable> {
  const listen = async (request: IncomingMessage, response: ServerResponse) => {
    for await (const _ of request);
    answer(request, response);
  };
  const server = tls === undefined
    ? createServer(listen)
    : createTlsServer({ cert: readFileSync(tls.certPath), key: readFileSync(tls.keyPath) }, listen);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `http${tls === undefined ? "" : "s"}://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

for (
  const [how, optionsOf] of [
    ["without TLS", undefined],
    ["with an authority of its own", ({ caCert }: ServerCertificate) => ({ caCert })],
    ["that trusts anybody", () => ({ skipVerify: true })],
  ] as const
) {
  test(`HttpClient ${how} sends what is to be sent once no second time when its connection breaks`, async () => {
    using folder = temporaryFolder();
    const tls = optionsOf === undefined ? undefined : makeCertificate(folder.path);
    const seen: string[] = [];
    await using server = await serve(({ url, socket }, response) => {
      seen.push(url!);
      if (url === "/breaks") socket.destroy();
      else response.end("done");
    }, { tls });
    using client = openHttpClient(tls === undefined ? {} : optionsOf!(tls));
    // Bun sends no POST again, Deno any.
    const send = (path: string, isSentOnce: boolean) =>
      client.send({
        method: "PUT",
        url: server.url + path,
        headers: {},
        body: new Uint8Array(10),
        isSentOnce,
      });
    await (await send("/first", false)).whole();
    await assert.rejects(send("/breaks", true));
    assert.deepEqual(seen, ["/first", "/breaks"]);
  });
}

test("HttpClient.send() waits for an answer for longer than Bun does by itself", async () => {
  await using server = await serve((_, response) => void setTimeout(() => response.end("done"), 12_000));
  const script = `
      import { openHttpClient } from ${JSON.stringify(new URL("../../src/runtime/http.ts", import.meta.url))};
      using client = openHttpClient();
      const { status } = await client.send({ method: "GET", url: "${server.url}", headers: {} });
      console.log(status);`;
  // In seconds; some more pass before it is looked at.
  const env = { ...process.env, BUN_CONFIG_HTTP_IDLE_TIMEOUT: "1" };
  const args = [process.versions["bun"] === undefined ? "eval" : "-e", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  assert.equal(stdout, "200\n");
});
