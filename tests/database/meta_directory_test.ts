import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defaultMetaPath, MetaDirectory } from "../../src/database/meta_directory.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

test("defaultMetaPath() lies beside the database, hidden (case 10)", () => {
  assert.equal(defaultMetaPath("/tmp/db"), "/tmp/.db-litestream");
  assert.equal(defaultMetaPath("db"), ".db-litestream");
  assert.equal(defaultMetaPath("/dir/app.db"), "/dir/.app.db-litestream");
});

test("MetaDirectory names its files as Litestream does (cases 1, 10)", () => {
  const meta = new MetaDirectory("/tmp/.db-litestream");
  assert.equal(meta.generationPath, "/tmp/.db-litestream/generation");
  assert.equal(meta.shadowPath("xxxx", 1000), "/tmp/.db-litestream/generations/xxxx/wal/000003e8.wal");
});

test("MetaDirectory.writeGeneration() writes the name and a line feed, and reads it back", () => {
  using folder = temporaryFolder();
  const meta = new MetaDirectory(join(folder.path, "meta"));
  meta.create();
  assert.equal(meta.readGeneration(), undefined);
  meta.writeGeneration("0123456789abcdef");
  assert.equal(readFileSync(meta.generationPath, "utf8"), "0123456789abcdef\n");
  assert.equal(meta.readGeneration(), "0123456789abcdef");
});
