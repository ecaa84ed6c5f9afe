import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { rootCertificates } from "node:tls";
import { promisify } from "node:util";
import { type HttpClient, openHttpClient } from "../../src/runtime/http.ts";
import { classifyHttpError } from "../../src/runtime/http_failure.ts";
import { readSystemTrust } from "../../src/runtime/system_trust.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { makeCertificate } from "../servers/certificates.ts";
import { oncePerFile } from "../servers/once.ts";

/** A server of which nobody knows, with an authority of its own, and the bodies that it was sent. */
async function serve({ authority, host }: { authority: string; host: string }) {
  const folder = temporaryFolder();
  const { caCert, certPath, keyPath } = makeCertificate(folder.path, { authority });
  const bodies: string[] = [];
  const server = createServer(
    { cert: readFileSync(certPath), key: readFileSync(keyPath) },
    async (sent, answer) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of sent) chunks.push(chunk);
      bodies.push(Buffer.concat(chunks).toString());
      answer.end("done");
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const stop = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    folder[Symbol.dispose]();
  };
  return { url: `https://${host}:${port}/`, caCert, bodies, stop };
}

const servers = oncePerFile(async () => {
  // Under two names: Deno's servers take up each other's TLS sessions, and a session goes by the name alone.
  const one = await serve({ authority: "one", host: "localhost" });
  const other = await serve({ authority: "other", host: "127.0.0.1" });
  return { one, other, stop: () => Promise.all([one.stop(), other.stop()]).then(() => {}) };
});

/** As large as a usual one: the runtime's own, and `certificates`. */
function bundleOf(...certificates: string[]): string {
  return [...rootCertificates, ...certificates].join("\n") + "\n";
}

/** A system's trust that counts how often it is asked for. */
function counted(bundle: string | undefined) {
  const asked = { count: 0 };
  const systemTrust = () => {
    asked.count++;
    return Promise.resolve(bundle);
  };
  return { asked, systemTrust };
}

async function put(
  client: HttpClient,
  url: string,
  { body = "body", ...how }: { body?: string; isSentOnce?: boolean; signal?: AbortSignal } = {},
): Promise<void> {
  const bytes = new TextEncoder().encode(body);
  const response = await client.send({ method: "PUT", url, headers: {}, body: bytes, ...how });
  assert.equal(response.status, 200);
  assert.equal(new TextDecoder().decode(await response.whole()), "done");
}

const isRefusal = (error: unknown) => classifyHttpError(error) === "untrusted";

for (const name of ["AWS_CA_BUNDLE", "SSL_CERT_FILE", "the usual path"]) {
  test(`HttpClient trusts an authority that only the bundle of ${name} has`, async () => {
    using folder = temporaryFolder();
    const { one } = await servers();
    const path = join(folder.path, "bundle.pem");
    writeFileSync(path, bundleOf(one.caCert));
    const where = name === "the usual path"
      ? { env: {}, paths: [path] }
      : { env: { [name]: path }, paths: [] };
    using client = openHttpClient({ systemTrust: () => readSystemTrust(where) });
    one.bodies.length = 0;
    await put(client, one.url, { body: "first" });
    await put(client, one.url, { body: "second", isSentOnce: true });
    assert.deepEqual(one.bodies, ["first", "second"]);
  });
}

test("HttpClient looks for the system's authorities by itself", async () => {
  using folder = temporaryFolder();
  const { one } = await servers();
  const path = join(folder.path, "bundle.pem");
  writeFileSync(path, bundleOf(one.caCert));
  const script = `
      import { openHttpClient } from ${JSON.stringify(new URL("../../src/runtime/http.ts", import.meta.url))};
      using client = openHttpClient();
      const { status } = await client.send({ method: "GET", url: "${one.url}", headers: {} });
      console.log(status);`;
  const env = { ...process.env, AWS_CA_BUNDLE: path };
  const args = [process.versions["bun"] === undefined ? "eval" : "-e", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  assert.equal(stdout, "200\n");
});

test("HttpClient sends what is to be sent once, and trusts by the system, a single time", async () => {
  const { one } = await servers();
  const { asked, systemTrust } = counted(bundleOf(one.caCert));
  using client = openHttpClient({ systemTrust });
  one.bodies.length = 0;
  await put(client, one.url, { body: "once", isSentOnce: true });
  assert.deepEqual(one.bodies, ["once"]);
  assert.equal(asked.count, 1);
});

test("HttpClient refuses an authority that the system doesn't have either, by the first error", async () => {
  const { one, other } = await servers();
  using without = openHttpClient({ systemTrust: () => Promise.resolve(undefined) });
  const first = await put(without, one.url).then(() => undefined, (error) => error);
  assert.ok(isRefusal(first));
  one.bodies.length = 0;
  const failing = () => Promise.reject(new Error("no such disk"));
  for (const systemTrust of [counted(other.caCert).systemTrust, counted(undefined).systemTrust, failing]) {
    using client = openHttpClient({ systemTrust });
    for (let count = 0; count < 2; count++) {
      await assert.rejects(put(client, one.url), { name: first.name, message: first.message });
    }
  }
  assert.deepEqual(one.bodies, []);
});

test("HttpClient goes on to trust by the system after a server that nobody knows", async () => {
  const { one, other } = await servers();
  const { asked, systemTrust } = counted(other.caCert);
  using client = openHttpClient({ systemTrust });
  await assert.rejects(put(client, one.url), isRefusal);
  await put(client, other.url);
  await assert.rejects(put(client, one.url), isRefusal);
  assert.equal(asked.count, 1);
});

test("HttpClient trusts by caCert and by the system at once", async () => {
  const { one, other } = await servers();
  using client = openHttpClient({ caCert: one.caCert, ...counted(bundleOf(other.caCert)) });
  for (const { url } of [one, other, one, other]) await put(client, url);
});

test("HttpClient asks for the system's authorities once for many requests that are refused at once", async () => {
  const { one } = await servers();
  const { asked, systemTrust } = counted(bundleOf(one.caCert));
  using client = openHttpClient({ systemTrust });
  one.bodies.length = 0;
  await Promise.all(Array.from({ length: 20 }, () => put(client, one.url)));
  assert.equal(one.bodies.length, 20);
  assert.equal(asked.count, 1);
});

test("HttpClient doesn't ask for the system's authorities where a server is trusted, or isn't there", async () => {
  const { one } = await servers();
  const { asked, systemTrust } = counted(undefined);
  using client = openHttpClient({ caCert: one.caCert, systemTrust });
  await put(client, one.url);
  await assert.rejects(put(client, "https://localhost:1/"), (error) => !isRefusal(error));
  assert.equal(asked.count, 0);
});

test("HttpClient that is stopped while it reads the system's authorities sends nothing", async () => {
  const { one } = await servers();
  const abort = new AbortController();
  const systemTrust = () => {
    abort.abort(new Error("stopped"));
    return Promise.resolve(one.caCert);
  };
  using client = openHttpClient({ systemTrust });
  one.bodies.length = 0;
  await assert.rejects(put(client, one.url, { signal: abort.signal }), /stopped/);
  assert.deepEqual(one.bodies, []);
});

test("HttpClient that is disposed of while it reads the system's authorities opens nothing", async () => {
  const { one } = await servers();
  const client = openHttpClient({
    systemTrust() {
      client[Symbol.dispose]();
      return Promise.resolve(one.caCert);
    },
  });
  one.bodies.length = 0;
  await assert.rejects(put(client, one.url), isRefusal);
  client[Symbol.dispose]();
  assert.deepEqual(one.bodies, []);
});

test("readSystemTrust() takes the first bundle that holds a certificate", async () => {
  using folder = temporaryFolder();
  const { one, other } = await servers();
  const file = (name: string, text: string) => {
    const path = join(folder.path, name);
    writeFileSync(path, text);
    return path;
  };
  const first = file("first", `# One\n${one.caCert}`);
  const second = file("second", other.caCert);
  const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const empty = file("empty", "");
  const damaged = file("damaged", broken);
  const mixed = file("mixed", broken + other.caCert);
  const missing = join(folder.path, "missing");
  const cases: [Record<string, string>, string[], string | undefined][] = [
    [{}, [], undefined],
    [{}, [missing, empty, damaged, folder.path], undefined],
    [{}, [missing, first, second], one.caCert],
    [{}, [mixed, first], other.caCert],
    [{ AWS_CA_BUNDLE: first, SSL_CERT_FILE: second }, [], one.caCert],
    [{ AWS_CA_BUNDLE: "", SSL_CERT_FILE: second }, [first], other.caCert],
    [{ AWS_CA_BUNDLE: damaged, SSL_CERT_FILE: missing }, [first], one.caCert],
  ];
  for (const [env, paths, expected] of cases) {
    assert.equal(await readSystemTrust({ env, paths }), expected, JSON.stringify({ env, paths }));
  }
});
