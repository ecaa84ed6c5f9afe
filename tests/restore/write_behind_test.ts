import { test } from "node:test";
import assert from "node:assert/strict";
import { WriteBehind } from "../../src/restore/write_behind.ts";

/** A file whose writes and syncs end when they are told to. */
class SlowFile {
  readonly done: string[] = [];
  readonly running: { what: string; end(error?: Error): void }[] = [];

  write(bytes: Uint8Array, position: number): Promise<void> {
    return this.#begin(`write ${bytes.length} at ${position}`);
  }

  sync(): Promise<void> {
    return this.#begin("sync");
  }

  #begin(what: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const end = (error?: Error) => {
      this.running.splice(this.running.findIndex((other) => other.end === end), 1);
      this.done.push(what);
      if (error === undefined) resolve();
      else reject(error);
    };
    this.running.push({ what, end });
    return promise;
  }

  get names(): string[] {
    return this.running.map(({ what }) => what);
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
}

test("WriteBehind.write() goes on while the bytes before are written, one write at a time", async () => {
  const file = new SlowFile();
  await using output = new WriteBehind({ file });
  await output.write(new Uint8Array(10));
  assert.deepEqual(file.names, ["write 10 at 0"]);
  const second = output.write(new Uint8Array(5));
  await turn();
  assert.deepEqual(file.names, ["write 10 at 0"]);
  file.running[0]!.end();
  await second;
  assert.deepEqual(file.names, ["write 5 at 10"]);
  assert.equal(output.size, 15);
  let isFinished = false;
  const finished = output.finish().then(() => isFinished = true);
  await turn();
  assert.equal(isFinished, false);
  file.running[0]!.end();
  await finished;
});

test("WriteBehind syncs beside its writes, each time so many bytes have been written", async () => {
  const file = new SlowFile();
  await using output = new WriteBehind({ file, syncEvery: 8 });
  await output.write(new Uint8Array(8));
  file.running[0]!.end();
  await output.write(new Uint8Array(8));
  assert.deepEqual(file.names, ["sync", "write 8 at 8"]);
  file.running[1]!.end();
  await output.write(new Uint8Array(8));
  assert.deepEqual(file.names, ["sync", "write 8 at 16"], "one sync at a time");
  while (file.running.length > 0) file.running[0]!.end();
  await output.finish();
});

for (const what of ["write", "sync"]) {
  test(`WriteBehind tells of a failed ${what} at the next call`, async () => {
    for (const next of ["write", "finish"]) {
      const file = new SlowFile();
      await using output = new WriteBehind({ file, syncEvery: 1 });
      await output.write(new Uint8Array(1));
      file.running[0]!.end();
      await output.write(new Uint8Array(1));
      for (const running of [...file.running]) {
        running.end(running.what.startsWith(what) ? new Error("no space") : undefined);
      }
      await turn();
      const told = next === "write" ? output.write(new Uint8Array(1)) : output.finish();
      await assert.rejects(told, /no space/);
      for (const running of [...file.running]) running.end();
    }
  });
}

test("WriteBehind leaves nothing under way when it is disposed of", async () => {
  for (const failing of ["write", "sync", "none"]) {
    const file = new SlowFile();
    const output = new WriteBehind({ file, syncEvery: 1 });
    await output.write(new Uint8Array(1));
    file.running[0]!.end();
    await output.write(new Uint8Array(1));
    let isDisposed = false;
    const disposed = output[Symbol.asyncDispose]().then(() => isDisposed = true);
    for (const what of ["write", "sync"]) {
      await turn();
      assert.equal(isDisposed, false, what);
      const running = file.running.find((other) => other.what.startsWith(what))!;
      running.end(what === failing ? new Error("no space") : undefined);
    }
    await disposed;
  }
});
