import assert from "node:assert/strict";
import { test } from "node:test";
import { HostNames } from "../../src/runtime/host_names.ts";
import { openHttpClient } from "../../src/runtime/http.ts";
import { classifyHttpError, isNetworkError } from "../../src/runtime/http_failure.ts";

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

/** A name server whose answers are the test's to give. */
function nameServer() {
  const asked: string[] = [];
  const waiting = new Map<string, PromiseWithResolvers<void>>();
  const names = new HostNames((hostname) => {
    asked.push(hostname);
    const answer = Promise.withResolvers<void>();
    waiting.set(hostname, answer);
    return answer.promise;
  });
  return {
    names,
    asked,
    /** Past those that go unchecked. */
    checking: async () => {
      for (let count = 0; count < 4; count++) await names.find("first.example");
      assert.deepEqual(asked, []);
      return names;
    },
    find: (hostname: string) => waiting.get(hostname)!.resolve(),
    fail: (hostname: string, code: string) =>
      waiting.get(hostname)!.reject(Object.assign(new Error(`getaddrinfo ${code}`), { code })),
  };
}

test("HostNames.find() has eight lookups under way at most, and one of each name", async () => {
  const server = nameServer();
  const names = await server.checking();
  const hosts = Array.from({ length: 40 }, (_, index) => `h${index}.example`);
  const all = [...hosts, ...hosts].map((host) => names.find(host));
  await turn();
  assert.deepEqual(server.asked, hosts.slice(0, 8));
  server.find("h3.example");
  await turn();
  assert.deepEqual(server.asked, hosts.slice(0, 9));
  for (const host of hosts) {
    await turn();
    server.find(host);
  }
  await Promise.all(all);
  assert.deepEqual(server.asked, hosts);
});

test("HostNames.find() waits for no name that was found, that has answered, or that is an address", async () => {
  const server = nameServer();
  const names = await server.checking();
  const first = names.find("a.example");
  await turn();
  server.find("a.example");
  await first;
  names.noteFound("b.example");
  for (const host of ["a.example", "b.example", "127.0.0.1", "[::1]"]) await names.find(host);
  assert.deepEqual(server.asked, ["a.example"]);
  names.forget("b.example");
  const again = names.find("b.example");
  await turn();
  server.find("b.example");
  await again;
  assert.deepEqual(server.asked, ["a.example", "b.example"]);
});

test("HostNames.find() fails with the lookup for all who wait, and looks again for the next", async () => {
  const server = nameServer();
  const names = await server.checking();
  const both = [names.find("a.example"), names.find("a.example")];
  await turn();
  server.fail("a.example", "EAI_AGAIN");
  for (const { reason } of (await Promise.allSettled(both)) as PromiseRejectedResult[]) {
    assert.ok(isNetworkError(reason));
    assert.equal(classifyHttpError(reason), "no-name-service");
  }
  const next = names.find("a.example");
  await turn();
  server.find("a.example");
  await next;
  assert.equal(server.asked.length, 2);
});

test("HostNames.find() ends with its signal, and the lookup goes on for the others", async () => {
  const server = nameServer();
  const names = await server.checking();
  const stop = new AbortController();
  const stopped = names.find("a.example", { signal: stop.signal });
  const other = names.find("a.example", { signal: new AbortController().signal });
  await turn();
  stop.abort(new Error("stopped"));
  await assert.rejects(stopped, /^Error: stopped$/);
  server.find("a.example");
  await other;
  await assert.rejects(names.find("b.example", { signal: stop.signal }), /^Error: stopped$/);
  assert.deepEqual(server.asked, ["a.example"]);
});

test("HttpClient sends nothing to a host whose name isn't found, and says why", async () => {
  const server = nameServer();
  using http = openHttpClient({ hostNames: await server.checking() });
  const request = { method: "GET", url: "http://localhost:1/", headers: {} };
  const sent = http.send(request);
  await turn();
  server.fail("localhost", "EAI_AGAIN");
  await assert.rejects(sent, (error) => classifyHttpError(error) === "no-name-service");
  const refused = http.send(request);
  await turn();
  server.find("localhost");
  await assert.rejects(refused, (error) => classifyHttpError(error) === "refused");
  await assert.rejects(http.send(request), (error) => classifyHttpError(error) === "refused");
  assert.equal(server.asked.length, 2, "a port that refuses says nothing against the name");
});
