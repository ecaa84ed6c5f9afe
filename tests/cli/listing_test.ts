import { test } from "node:test";
import assert from "node:assert/strict";
import { runListing } from "../../src/cli/listing.ts";
import { temporaryFolder } from "../doubles/temporary_folder.ts";

test("runListing() lists more than a call takes arguments", async () => {
  using folder = temporaryFolder();
  const source = { argument: `file://${folder.path}`, needsReplica: false, isExpanding: true };
  const numbers = Array.from({ length: 500_000 }, (_, number) => number);
  for (const isJson of [false, true]) {
    let text = "";
    const exitCode = await runListing({ source, isJson }, {
      writeOutput: (more) => text += more,
      writeError: (more) => assert.fail(more),
    }, {
      header: ["replica", "number"],
      list: () => Promise.resolve(numbers),
      cells: (number, replica) => [replica, `${number}`],
      value: (number) => number,
    });
    assert.equal(exitCode, 0);
    if (isJson) assert.deepEqual(JSON.parse(text), numbers);
    else assert.equal(text, `replica  number\n${numbers.map((number) => `file     ${number}\n`).join("")}`);
  }
});
