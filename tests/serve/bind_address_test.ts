import { test } from "node:test";
import assert from "node:assert/strict";
import { parseBindAddress, serverUrl } from "../../src/serve/bind_address.ts";

test("parseBindAddress() takes host and port, and serverUrl() shows them (109)", () => {
  const cases: [string, string, string][] = [
    [":9090", "", "http://localhost:9090/metrics"],
    ["0.0.0.0:9090", "0.0.0.0", "http://0.0.0.0:9090/metrics"],
    ["example.org:1", "example.org", "http://example.org:1/metrics"],
    ["[::1]:9090", "::1", "http://[::1]:9090/metrics"],
    ["[]:9090", "", "http://localhost:9090/metrics"],
  ];
  for (const [addr, host, url] of cases) {
    const address = parseBindAddress(addr);
    assert.equal(address.host, host, addr);
    assert.equal(serverUrl(address, "/metrics"), url);
  }
});

test("parseBindAddress() refuses an address without a port (109)", () => {
  for (const addr of ["9090", "localhost", "localhost:", ":", "::1", "[::1]", "a:b:1", "[::1]x:1"]) {
    assert.throws(() => parseBindAddress(addr), {
      name: "UsageError",
      message: `must specify port for bind address: "${addr}"`,
    });
  }
});
