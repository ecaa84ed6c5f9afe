/** The judge itself: what it says of a file must not come from another file of before. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Judge } from "./judge.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

/** A commit by a program that ends without closing the database, so that its WAL stays. */
function commit(path: string, { id, rows }: { id: string; rows: number }): void {
  const script = `import os, sqlite3, sys
c = sqlite3.connect(sys.argv[1], isolation_level=None)
c.execute("PRAGMA journal_mode = wal")
c.execute("CREATE TABLE IF NOT EXISTS state (epoch, seq, id)")
c.execute("CREATE TABLE IF NOT EXISTS filler (x)")
for _ in range(int(sys.argv[3])): c.execute("INSERT INTO filler VALUES (randomblob(3000))")
c.execute("DELETE FROM state")
c.execute("INSERT INTO state VALUES (1, 1, ?)", (sys.argv[2],))
os._exit(0)`;
  const { status, stderr } = spawnSync("python3", ["-c", script, path, id, `${rows}`], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
}

test("Judge reads what is there now, after a copy that failed and another file in the place of the database", async () => {
  using folder = temporaryFolder();
  await using judge = new Judge();
  const [path, otherPath, copyPath] = ["app.db", "other.db", "copy.db"].map((name) =>
    join(folder.path, name)
  );
  commit(otherPath!, { id: "other", rows: 1 });
  await judge.truncate(otherPath!);
  commit(path!, { id: "first", rows: 50 });
  writeFileSync(copyPath!, "this is no database, so that no copy can be put there".repeat(100));
  await assert.rejects(judge.backup(path!, { to: copyPath! }), /not a database/);
  for (const suffix of ["-wal", "-shm"]) rmSync(path! + suffix);
  copyFileSync(otherPath!, path!);
  commit(path!, { id: "second", rows: 5 });
  assert.equal((await judge.live(path!)).id, "second");
});
