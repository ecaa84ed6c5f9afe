/** A database that isn't there when walbrook is started: was it ever? */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { Stage, until } from "./stage.ts";
import type { DatabaseOptions } from "../../src/database/database_options.ts";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles } from "../doubles/failing_files.ts";

const NEW = "the database does not exist yet";
const GONE =
  "the database does not exist any more, and was replicated before: waiting until it is restored or made anew";

/** Follow a database, then remove it while nobody follows it. */
async function removedOnce(stage: Stage): Promise<{ generation: string; metaPath: string }> {
  stage.insert();
  const first = await stage.follow();
  const { generation } = first.position!;
  await first.close();
  stage.closeApplication();
  for (const end of ["", "-wal", "-shm"]) rmSync(stage.path + end, { force: true });
  return { generation, metaPath: first.meta.path };
}

test("LiveDatabase that was followed before its start is gone, not new, and taken up once it is there again", async () => {
  await using stage = new Stage();
  const { generation } = await removedOnce(stage);
  const database = stage.database();
  await database.start();
  assert.deepEqual(database.state, { kind: "waiting", reason: GONE, isNew: false });
  assert.equal(await database.settle(), undefined, "there is nothing to copy");
  assert.deepEqual(stage.logged("warn"), [`waiting for the database: ${GONE}`]);
  stage.insert();
  await until(() => database.state.kind === "live", { what: "the next one is taken up" });
  assert.notEqual(database.position!.generation, generation);
});

test("LiveDatabase that was deleted while it was followed is gone, too", async () => {
  await using stage = new Stage();
  stage.insert();
  const database = await stage.follow();
  stage.closeApplication();
  for (const end of ["", "-wal", "-shm"]) rmSync(stage.path + end, { force: true });
  await until(() => JSON.stringify(database.state).includes(GONE), { what: "the loss is seen" });
  rmSync(database.meta.path, { recursive: true });
  await database.settle();
  assert.deepEqual(database.state, { kind: "waiting", reason: GONE, isNew: false });
  assert.equal(existsSync(database.meta.path), false);
});

const CASES: readonly {
  readonly what: string;
  readonly prepare: (paths: { path: string; metaPath: string }) => Partial<DatabaseOptions> | void;
  readonly reason: string;
}[] = [
  {
    what: "no meta directory, as on a machine that has just been set up",
    prepare: ({ metaPath }) => rmSync(metaPath, { recursive: true }),
    reason: NEW,
  },
  {
    what: "a meta directory in which no generation was begun yet",
    prepare: ({ metaPath }) => {
      rmSync(metaPath, { recursive: true });
      mkdirSync(metaPath);
    },
    reason: NEW,
  },
  {
    what: "another meta-path than before",
    prepare: ({ metaPath }) => ({ metaPath: `${metaPath}-moved` }),
    reason: NEW,
  },
  {
    what: "a generation file that a power cut has emptied",
    prepare: ({ metaPath }) => writeFileSync(`${metaPath}/generation`, ""),
    reason: GONE,
  },
  {
    what: "a meta directory that keeps us out",
    prepare: () => ({
      files: failFiles(systemFiles, [{ kind: "stat", code: "EACCES", times: Infinity, path: /generation$/ }])
        .files,
    }),
    reason: GONE,
  },
  {
    what: "an empty file in its place",
    prepare: ({ path }) => writeFileSync(path, ""),
    reason: GONE.replace("does not exist any more", "is empty now"),
  },
];

for (const { what, prepare, reason } of CASES) {
  test(`LiveDatabase that is missing beside ${what}`, async () => {
    await using stage = new Stage();
    const { metaPath } = await removedOnce(stage);
    const options = prepare({ path: stage.path, metaPath }) ?? {};
    const database = stage.database(options);
    await database.start();
    assert.deepEqual(database.state, { kind: "waiting", reason, isNew: reason === NEW });
  });
}
