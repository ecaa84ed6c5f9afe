/** A release behind HTTP, with faults. */
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";

/** What goes wrong with the archive; the other files are served as they are. */
export type Fault = "none" | "cut half-way" | "other bytes" | "other sum" | "no sum";

/** A server of a release. */
export interface ReleaseServer extends AsyncDisposable {
  readonly url: string;
  fault: Fault;
  /** Names asked for so far. */
  readonly requests: string[];
}

/** Serve the files of `folder` on a port of its own. */
export async function serveRelease(folder: string): Promise<ReleaseServer> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const state = { fault: "none" as Fault };
  const server = createServer((request, response) => {
    const name = request.url!.slice(1);
    requests.push(name);
    const path = join(folder, name);
    if (!existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    const isArchive = name.endsWith(".tar.gz");
    if (name.endsWith(".sha256") && state.fault === "other sum") response.end(`${"0".repeat(64)}  x\n`);
    else if (name.endsWith(".sha256") && state.fault === "no sum") response.end("<html>Welcome</html>\n");
    else if (isArchive && state.fault === "other bytes") {
      const bytes = readFileSync(path);
      bytes[bytes.length >> 1]! ^= 1;
      response.end(bytes);
    } else {
      const { size } = statSync(path);
      response.writeHead(200, { "Content-Length": size });
      if (isArchive && state.fault === "cut half-way") {
        createReadStream(path, { end: size >> 1 }).on("end", () => response.destroy()).pipe(response, {
          end: false,
        });
      } else createReadStream(path).pipe(response);
    }
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get fault() {
      return state.fault;
    },
    set fault(fault) {
      state.fault = fault;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
