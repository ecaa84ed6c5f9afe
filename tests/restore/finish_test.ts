import { test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describeError } from "../../src/errors.ts";
import { restore, type RestoreOptions } from "../../src/restore/restore.ts";
import { type Files, systemFiles } from "../../src/runtime/files.ts";
import { buildReplica, type BuiltReplica, fileHash } from "../builders/replica_builder.ts";
import { failFiles } from "../doubles/failing_files.ts";
import { recordFiles } from "../doubles/recording_files.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** A small replica, an empty folder beside it, and a restore into that. */
async function withTarget(
  act: (context: {
    replica: BuiltReplica;
    target: string;
    outputPath: string;
    run: (options?: Partial<RestoreOptions>) => Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  using folder = temporaryFolder();
  const replica = await buildReplica({ folder: folder.path, indexCount: 2, withStates: false });
  const target = join(folder.path, "target");
  mkdirSync(target);
  const outputPath = join(target, "out.db");
  await act({
    replica,
    target,
    outputPath,
    run: async (options) => {
      await restore({ clients: [replica.client], outputPath, ...options });
    },
  });
}

async function messageOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return describeError(error);
  }
  return "it succeeded";
}

test("restore() leaves one file that only its owner can read (case 70)", async () => {
  await withTarget(async ({ replica, target, outputPath, run }) => {
    await run();
    assert.deepEqual(readdirSync(target), ["out.db"]);
    assert.equal(statSync(outputPath).mode & 0o777, 0o600);
    assert.equal(fileHash(outputPath), replica.finalState);
  });
});

test("restore() gives the file the mode and owner that are asked for", async () => {
  await withTarget(async ({ outputPath, run }) => {
    const isRoot = process.getuid?.() === 0;
    const owner = { uid: isRoot ? 12345 : process.getuid!() };
    await run({ mode: 0o660, owner });
    const stat = statSync(outputPath);
    assert.deepEqual([stat.mode & 0o777, stat.uid, stat.gid], [0o660, owner.uid, process.getgid!()]);
  });
});

test("restore() to an owner that the system refuses fails, and leaves nothing", async () => {
  await withTarget(async ({ target, run }) => {
    const files = { ...systemFiles, changeOwner: () => Promise.resolve() };
    const message = await messageOf(run({ files, owner: { uid: 54321, gid: 54321 } }));
    assert.match(message, /out\.db\.tmp to 54321:54321: the system refuses it/);
    assert.deepEqual(readdirSync(target), []);
  });
});

test("restore() removes what SQLite had made beside a restore that was killed while it was checked", async () => {
  await withTarget(async ({ target, outputPath, run }) => {
    for (const suffix of ["", "-wal", "-shm"]) writeFileSync(`${outputPath}.tmp${suffix}`, "of before");
    await run();
    assert.deepEqual(readdirSync(target), ["out.db"]);
  });
});

test("restore() refuses an output path that exists and leaves it alone (case 73)", async () => {
  await withTarget(async ({ target, outputPath, run }) => {
    writeFileSync(outputPath, "mine");
    assert.equal(await messageOf(run()), `cannot restore, output path already exists: ${outputPath}`);
    assert.deepEqual(readdirSync(target), ["out.db"]);
    assert.equal(statSync(outputPath).size, 4);
  });
});

test("restore() refuses a symbolic link that leads to nothing, and names where it leads", async () => {
  await withTarget(async ({ target, outputPath, run }) => {
    mkdirSync(join(target, "volume"));
    const [below, missing] = [join(target, "volume", "app.db"), join(target, "missing", "app.db")];
    const cases: [string, string, string][] = [
      ["absolute", below, below],
      ["relative", "volume/app.db", below],
      ["into a folder that is missing", missing, missing],
      ["to another link", "again.db", below],
    ];
    symlinkSync("volume/app.db", join(target, "again.db"));
    symlinkSync("volume", join(target, "folder"));
    for (const [nth, [name, to, leadsTo]] of cases.entries()) {
      const path = `${outputPath}.${nth}`;
      symlinkSync(to, path);
      assert.equal(
        await messageOf(run({ outputPath: path })),
        `cannot restore ${path}: it is a symbolic link, and SQLite keeps the -wal beside the file that it leads ` +
          `to: give the path of that file, ${leadsTo}`,
        name,
      );
      assert.ok(lstatSync(path).isSymbolicLink(), name);
    }
    symlinkSync("../app.db", join(target, "volume", "up.db"));
    const message = await messageOf(run({ outputPath: join(target, "folder", "up.db") }));
    assert.ok(message.endsWith(`that file, ${join(target, "app.db")}`), message);
    assert.deepEqual(readdirSync(join(target, "volume")), ["up.db"]);
  });
});

test("restore() makes missing folders and removes them when it fails (case 72)", async () => {
  await withTarget(async ({ target, run }) => {
    const outputPath = join(target, "a", "b", "out.db");
    const { files } = failFiles(systemFiles, [{ kind: "sync", code: "EIO" }]);
    assert.match(await messageOf(run({ outputPath, files })), /EIO/);
    assert.deepEqual(readdirSync(target), []);
    await run({ outputPath });
    assert.deepEqual([existsSync(outputPath), statSync(join(target, "a", "b")).mode & 0o777], [true, 0o700]);
  });
});

test("restore() says what is in its way, and leaves it there", async () => {
  const cases: [string, (outputPath: string) => string | void, RegExp][] = [
    [
      "a folder named like the temporary file",
      (outputPath) => mkdirSync(`${outputPath}.tmp`),
      /^cannot restore \S+out\.db: the folder \S+out\.db\.tmp is in the way: move it or restore elsewhere$/,
    ],
    [
      "a folder named like the wal",
      (outputPath) => mkdirSync(`${outputPath}-wal`),
      /^cannot restore \S+out\.db: the folder \S+out\.db-wal is in the way: move it or restore elsewhere$/,
    ],
    [
      "a symbolic link to nothing named like the temporary file",
      (outputPath) => symlinkSync("gone.db", `${outputPath}.tmp`),
      /^cannot restore \S+out\.db: the symbolic link \S+out\.db\.tmp, which leads to nothing, is in the way: remove it$/,
    ],
    ["a file above it", (outputPath) => {
      writeFileSync(outputPath, "theirs");
      return join(outputPath, "below.db");
    }, /^cannot restore \S+below\.db: a part of the path is a file: move it away or restore elsewhere: /],
    [
      "a name that has no room for -journal",
      (outputPath) => join(outputPath, "..", "x".repeat(250)),
      /^cannot restore \S+xxx: its name, or that of a file beside it, is too long: restore under a shorter one: /,
    ],
  ];
  for (const [name, prepare, expected] of cases) {
    await withTarget(async ({ target, outputPath, run }) => {
      const path = prepare(outputPath) ?? outputPath;
      const before = readdirSync(target, { recursive: true });
      assert.match(await messageOf(run({ outputPath: path })), expected, name);
      assert.deepEqual(readdirSync(target, { recursive: true }), before, name);
    });
  }
});

test("restore() overwrites the temporary file of an earlier run (case 84)", async () => {
  await withTarget(async ({ replica, target, outputPath, run }) => {
    writeFileSync(`${outputPath}.tmp`, new Uint8Array(1_000_000).fill(7));
    await run();
    assert.deepEqual(readdirSync(target), ["out.db"]);
    assert.equal(fileHash(outputPath), replica.finalState);
  });
});

test("restore() removes orphaned side files before the rename (case 83)", async () => {
  await withTarget(async ({ replica, target, outputPath, run }) => {
    for (const suffix of ["-wal", "-shm", "-journal"]) writeFileSync(outputPath + suffix, "orphan");
    const { files, calls } = recordFiles(systemFiles, { kinds: ["sync", "remove", "rename", "sync-folder"] });
    await run({ files });
    assert.deepEqual(readdirSync(target), ["out.db"]);
    assert.equal(fileHash(outputPath), replica.finalState);
    assert.deepEqual(calls.map(({ kind, path }) => [kind, path.slice(outputPath.length)]), [
      ["sync", ".tmp"],
      ["remove", "-wal"],
      ["remove", "-shm"],
      ["remove", "-journal"],
      ["rename", ".tmp"],
      ["sync-folder", ""],
    ]);
    for (const [nth, call] of calls.slice(1).entries()) assert.ok(calls[nth]!.ended! < call.begun, call.kind);
  });
});

test("restore() refuses while a process has the deleted database's wal open", async () => {
  await withTarget(async ({ target, outputPath, run }) => {
    writeFileSync(`${outputPath}-wal`, "in use");
    const holder = spawn("tail", ["-f", `${outputPath}-wal`], { stdio: ["ignore", "pipe", "ignore"] });
    await once(holder.stdout, "data");
    try {
      assert.equal(
        await messageOf(run()),
        `cannot restore ${outputPath}: process ${holder.pid} still has the deleted database or its out.db-wal ` +
          "open: stop it first",
      );
      assert.deepEqual(readdirSync(target), ["out.db-wal"]);
    } finally {
      holder.kill();
    }
  });
});

/** The real files, with `act` done once when `kind` is called for the first time. */
function atFirst(kind: "sync" | "write", act: () => Promise<void>): Files {
  let isDone = false;
  return {
    ...systemFiles,
    open: async (path, options) => {
      const file = await systemFiles.open(path, options);
      const original = file[kind].bind(file) as (...args: unknown[]) => Promise<void>;
      return Object.assign(file, {
        [kind]: async (...args: unknown[]) => {
          if (!isDone) {
            isDone = true;
            await act();
          }
          await original(...args);
        },
      });
    },
  };
}

test("restore() refuses a second one to the same target, and the first comes to its end", async () => {
  await withTarget(async ({ replica, target, outputPath, run }) => {
    let second = "";
    await run({ files: atFirst("sync", async () => void (second = await messageOf(run()))) });
    assert.equal(
      second,
      `cannot restore ${outputPath}: process ${process.pid} is restoring to it at this moment`,
    );
    assert.deepEqual(readdirSync(target), ["out.db"]);
    assert.equal(fileHash(outputPath), replica.finalState);
  });
});

test("restore() gives way to one that took over its temporary name unseen", async () => {
  await withTarget(async ({ target, outputPath, run }) => {
    const takeOver = async () => {
      await systemFiles.remove(`${outputPath}.tmp`);
      writeFileSync(`${outputPath}.tmp`, "another's");
    };
    assert.equal(
      await messageOf(run({ files: atFirst("sync", takeOver) })),
      `cannot restore ${outputPath}: another restore to it has begun meanwhile`,
    );
    assert.deepEqual(readdirSync(target), ["out.db.tmp"]);
  });
});

test("restore() gives way also to one that took over at the last moment, and gives it no name", async () => {
  await withTarget(async ({ target, outputPath, run }) => {
    const takeOver = async () => {
      await systemFiles.remove(`${outputPath}.tmp`);
      writeFileSync(`${outputPath}.tmp`, "another's");
    };
    let isTakenOver = false;
    const files: Files = {
      ...systemFiles,
      rename: async (from, to) => {
        if (!isTakenOver) await takeOver();
        isTakenOver = true;
        await systemFiles.rename(from, to);
      },
    };
    assert.equal(
      await messageOf(run({ files })),
      `cannot restore ${outputPath}: another restore to it has begun meanwhile`,
    );
    assert.deepEqual(readdirSync(target), ["out.db.tmp"]);
    assert.equal(readFileSync(`${outputPath}.tmp`, "utf8"), "another's");
  });
});

test("restore() leaves nothing behind on a full disk, a failed rename, a failed write (case 84)", async () => {
  await withTarget(async ({ target, outputPath, run }) => {
    for (const kind of ["write", "truncate", "sync", "rename", "open"] as const) {
      const rules = [{ kind, code: "ENOSPC", path: /target/ }];
      const message = await messageOf(run({ files: failFiles(systemFiles, rules).files }));
      assert.match(message, new RegExp(`^cannot restore ${outputPath}: the disk is full`), kind);
      assert.deepEqual(readdirSync(target), [], kind);
    }
  });
});

test("restore() says how much room is needed before it writes", async () => {
  await withTarget(async ({ target, outputPath, run }) => {
    const files: Files = { ...systemFiles, freeBytes: () => Promise.resolve(1000) };
    assert.match(
      await messageOf(run({ files })),
      new RegExp(
        `^cannot restore ${outputPath}: the database needs \\d+ bytes and only 1000 are free in ${target}:`,
      ),
    );
    assert.deepEqual(readdirSync(target), []);
  });
});

test("restore() leaves nothing behind when its signal fires, at whatever step", async () => {
  await withTarget(async ({ target, run }) => {
    const reason = new Error("stopped by the test");
    let steps = 0;
    await run({ outputPath: join(target, "whole.db"), progress: () => void steps++ });
    assert.ok(steps >= 7, `${steps} steps`);
    for (let stopAt = 0; stopAt <= steps; stopAt++) {
      const abort = new AbortController();
      let step = 0;
      if (stopAt === 0) abort.abort(reason);
      const progress = () => void (++step === stopAt && abort.abort(reason));
      assert.equal(
        await messageOf(run({ progress, signal: abort.signal })),
        reason.message,
        `step ${stopAt}`,
      );
      assert.deepEqual(readdirSync(target), ["whole.db"], `step ${stopAt}`);
    }
  });
});

test("restore() removes what an integrity check that is broken off leaves beside the temporary file", async () => {
  await withTarget(async ({ target, outputPath, run }) => {
    const reason = new Error("stopped by the test");
    const abort = new AbortController();
    const sideFiles = ["-wal", "-shm", "-journal"].map((suffix) => `${outputPath}.tmp${suffix}`);
    const files: Files = {
      ...systemFiles,
      remove: async (path) => {
        await systemFiles.remove(path);
        // The check begins once an earlier one's are gone.
        if (path !== sideFiles.at(-1) || abort.signal.aborted) return;
        for (const sideFile of sideFiles) writeFileSync(sideFile, "of SQLite");
        abort.abort(reason);
      },
    };
    assert.equal(
      await messageOf(run({ files, integrityCheck: "full", signal: abort.signal })),
      reason.message,
    );
    assert.deepEqual(readdirSync(target), []);
  });
});

test("restore() says that the database is in place when the folder's entry can't be brought to the disk", async () => {
  for (const code of ["EACCES", "EINVAL", "ENOTSUP", "EIO"]) {
    await withTarget(async ({ replica, target, outputPath, run }) => {
      const { files } = failFiles(systemFiles, [{ kind: "sync-folder", code }]);
      const message = await messageOf(run({ files }));
      const expected =
        `the database is restored and in place at ${outputPath}, but a power cut may undo that: ` +
        `the folder ${target} can't be synced: ${code}: `;
      assert.ok(message.startsWith(expected), message);
      assert.deepEqual(readdirSync(target), ["out.db"]);
      assert.equal(fileHash(outputPath), replica.finalState);
    });
  }
});

test("restore() names the folder above one that it made when that can't be synced, and syncs the others", async () => {
  await withTarget(async ({ target, run }) => {
    const outputPath = join(target, "a", "b", "out.db");
    const { files, calls } = recordFiles(
      failFiles(systemFiles, [{ kind: "sync-folder", code: "EACCES", path: /target$/ }]).files,
      { kinds: ["sync-folder"] },
    );
    assert.match(await messageOf(run({ outputPath, files })), /the folder \S+target can't be synced: EACCES/);
    assert.deepEqual(calls.map(({ path }) => path.slice(target.length)).toSorted(), ["", "/a", "/a/b"]);
    assert.ok(existsSync(outputPath));
  });
});
