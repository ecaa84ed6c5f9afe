/** Listens at the host that is given, and prints by which addresses of this machine it can be reached. */
import process from "node:process";
import { listenHttp } from "../../src/runtime/http_server.ts";

const body = "here";
await using server = await listenHttp(
  { host: process.argv[2]!, port: 0 },
  () => Promise.resolve({ status: 200, headers: {}, body }),
);
const addresses = ["127.0.0.1", "127.0.0.2", "[::1]"];
const answers = await Promise.all(
  addresses.map((address) =>
    fetch(`http://${address}:${server.port}`).then(async (response) => await response.text(), () => "")
  ),
);
console.log(JSON.stringify({ reached: addresses.filter((_, nth) => answers[nth] === body) }));
