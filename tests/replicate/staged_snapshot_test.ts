import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readAll, streamOf } from "../../src/bytes.ts";
import { StagedSnapshot } from "../../src/replicate/staged_snapshot.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { pattern } from "../contract/object_store.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** A source that is fed by hand. */
function fedSource() {
  let feeder: ReadableStreamDefaultController<Uint8Array> | undefined;
  let isCancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    start: (controller) => void (feeder = controller),
    cancel: () => void (isCancelled = true),
  });
  return { stream, feed: feeder!, isCancelled: () => isCancelled };
}

const signal = new AbortController().signal;

test("StagedSnapshot.read() gives what is written while the source goes on, and ends with it", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "snapshot.tmp");
  const { stream, feed } = fedSource();
  const bytes = pattern(700_000, 1);
  {
    await using staged = await StagedSnapshot.begin(stream, { path, files: systemFiles, signal });
    const done: number[] = [];
    const reader = staged.read((count) => done.push(count)).getReader();
    feed.enqueue(bytes.slice(0, 1000));
    assert.deepEqual((await reader.read()).value, bytes.subarray(0, 1000));
    let hasMore = false;
    const next = reader.read().then(({ value }) => {
      hasMore = true;
      return value!.slice();
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(!hasMore, "nothing is there yet");
    feed.enqueue(bytes.slice(1000));
    feed.close();
    const parts = [await next];
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      parts.push(part.value.slice());
    }
    assert.deepEqual(await readAll(streamOf(...parts), { limit: 1e6 }), bytes.slice(1000));
    assert.equal(done.at(-1), bytes.length);
    await staged.ended;
    assert.deepEqual(await readAll(staged.read(), { limit: 1e6 }), bytes, "a second time");
  }
  assert.deepEqual(readdirSync(folder.path), []);
});

test("StagedSnapshot.read() doesn't end as if it were whole when its file was changed", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "snapshot.tmp");
  const bytes = pattern(700_000, 1);
  await using staged = await StagedSnapshot.begin(streamOf(bytes), { path, files: systemFiles, signal });
  await staged.ended;
  {
    using file = systemFiles.openSync(path, { access: "read-write" });
    file.writeSync(Uint8Array.of(bytes[400_000]! ^ 1), 400_000);
  }
  await assert.rejects(
    readAll(staged.read(), { limit: 1e6 }),
    /snapshot\.tmp was changed by another program/,
  );
});

test("StagedSnapshot.read() fails where its source does, and doesn't end as if it were whole", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "snapshot.tmp");
  const { stream, feed } = fedSource();
  await using staged = await StagedSnapshot.begin(stream, { path, files: systemFiles, signal });
  const reader = staged.read().getReader();
  feed.enqueue(pattern(1000, 1));
  await reader.read();
  feed.error(new Error("the file was replaced"));
  await assert.rejects(reader.read(), /the file was replaced/);
  await staged.ended;
});

test("StagedSnapshot stops its source and its readers when it is disposed of or the signal fires", async () => {
  for (const isDisposed of [true, false]) {
    using folder = temporaryFolder();
    const path = join(folder.path, "snapshot.tmp");
    const { stream, feed, isCancelled } = fedSource();
    const abort = new AbortController();
    const staged = await StagedSnapshot.begin(stream, { path, files: systemFiles, signal: abort.signal });
    const reading = staged.read().getReader().read();
    reading.catch(() => {});
    if (!isDisposed) abort.abort(new Error("stopped"));
    const disposed = staged[Symbol.asyncDispose]();
    await assert.rejects(reading, isDisposed ? /no longer wanted/ : /stopped/);
    // A source that gives nothing more is not waited for.
    await disposed;
    assert.ok(isCancelled());
    assert.throws(() => feed.enqueue(pattern(1, 1)));
    assert.ok(!existsSync(path));
  }
});

test("StagedSnapshot.begin() lets the source go when the file can't be made", async () => {
  using folder = temporaryFolder();
  const { stream, isCancelled } = fedSource();
  const path = join(folder.path, "missing", "snapshot.tmp");
  await assert.rejects(StagedSnapshot.begin(stream, { path, files: systemFiles, signal }));
  assert.ok(isCancelled());
});
