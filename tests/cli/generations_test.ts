import { test } from "node:test";
import assert from "node:assert/strict";
import { utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { databaseChangedAt } from "../../src/cli/run_generations.ts";
import { UsageError } from "../../src/errors.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

test("databaseChangedAt() is the later time of database and WAL, and refuses a missing one (case 112)", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  const touch = (name: string, at: string) => {
    writeFileSync(name, "");
    utimesSync(name, new Date(at), new Date(at));
  };
  assert.throws(() => databaseChangedAt(path), (error) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.message, `stat ${path}: no such file or directory`);
    return true;
  });
  touch(path, "2026-01-01T00:00:00Z");
  assert.equal(databaseChangedAt(path).toISOString(), "2026-01-01T00:00:00.000Z");
  touch(`${path}-wal`, "2026-01-01T00:00:05Z");
  assert.equal(databaseChangedAt(path).toISOString(), "2026-01-01T00:00:05.000Z");
  touch(path, "2026-01-01T00:00:09Z");
  assert.equal(databaseChangedAt(path).toISOString(), "2026-01-01T00:00:09.000Z");
});
