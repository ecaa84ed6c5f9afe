/** A main file that can't be read for a moment. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemFiles } from "../../src/runtime/files.ts";
import { failFiles } from "../doubles/failing_files.ts";
import { Stage } from "./stage.ts";

for (const kind of ["read", "file-stat", "open"] as const) {
  test(`LiveDatabase whose file can't be used at its start (${kind} fails once) lets it go, and can take it up then`, async () => {
    await using stage = new Stage();
    stage.insert();
    const { files, failed } = failFiles(systemFiles, [{ kind, code: "EIO", path: /app\.db$/ }]);
    await assert.rejects(stage.database({ files }).start(), /cannot read .*app\.db: look at its disk/);
    assert.equal(failed.length, 1);
    const database = await stage.follow({ files });
    assert.ok(database.position!.offset > 0);
  });
}
