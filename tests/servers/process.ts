/** Starting a server for tests, waiting until it answers, and ending it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import process from "node:process";

/** A server that runs. */
export interface RunningServer {
  /** On 127.0.0.1. */
  readonly port: number;
  readonly pid: number;
  /** What it printed so far. */
  output(): string;
  /** Ends it and waits until it is gone. */
  stop(): Promise<void>;
}

/** How a server is started. */
export interface ServerCommand {
  readonly program: string;
  args(port: number): string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Path that answers 200 once the server is ready. */
  readonly readyPath: string;
  readonly isTls?: boolean;
  /** Any answer of that path will do. Default false. */
  readonly isReadyWithAny?: boolean;
}

const READY_LIMIT_MS = 20_000;

/** A port of 127.0.0.1 that nothing listens at. Another process may take it before the server does. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Start a server on a free port; tried anew when something else was faster to take the port. */
export async function startServer(command: ServerCommand): Promise<RunningServer> {
  for (let tries = 1;; tries++) {
    const port = await freePort();
    const server = launch(command, port);
    if (await isReady(command, server)) return server;
    const output = server.output();
    await server.stop();
    if (tries >= 3) throw new Error(`${command.program} does not start: ${output.slice(-2000)}`);
  }
}

function launch(
  { program, args, env = {}, cwd }: ServerCommand,
  port: number,
): RunningServer & { isGone(): boolean } {
  const child: ChildProcess = spawn(program, args(port), {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "/", ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  let output = "";
  const keep = (chunk: Uint8Array) => {
    output = (output + new TextDecoder().decode(chunk)).slice(-20_000);
  };
  child.stdout!.on("data", keep);
  child.stderr!.on("data", keep);
  const gone = new Promise<void>((resolve) => {
    child.on("error", (error) => {
      output += error.message;
      resolve();
    });
    child.on("exit", () => resolve());
  });
  let hasGone = false;
  gone.then(() => hasGone = true);
  // A test run that breaks off must not leave servers behind.
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  return {
    port,
    pid: child.pid ?? 0,
    output: () => output,
    isGone: () => hasGone,
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(kill, 5000);
      await gone;
      clearTimeout(timer);
      process.off("exit", kill);
    },
  };
}

async function isReady(
  { readyPath, isTls = false, isReadyWithAny = false }: ServerCommand,
  server: RunningServer & { isGone(): boolean },
): Promise<boolean> {
  const deadline = performance.now() + READY_LIMIT_MS;
  while (performance.now() < deadline && !server.isGone()) {
    const status = await statusOf({ port: server.port, path: readyPath, isTls });
    if (status === 200 || isReadyWithAny && status !== undefined) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

/** By `node:http(s)`: neither runtime's `fetch` passes over a certificate that it doesn't know. */
async function statusOf(
  { port, path, isTls }: { port: number; path: string; isTls: boolean },
): Promise<number | undefined> {
  const { get } = isTls ? await import("node:https") : await import("node:http");
  return await new Promise((resolve) => {
    const request = get(
      { host: "127.0.0.1", port, path, timeout: 2000, agent: false, rejectUnauthorized: false },
      (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode));
        response.on("error", () => resolve(undefined));
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(undefined));
  });
}
