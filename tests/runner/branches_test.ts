import assert from "node:assert/strict";
import { test } from "node:test";
import { branchesOf } from "./branches.ts";

const SOURCE = `const a = 1;
// Untested: SQLite never says that, and
// nobody can make it.
if (a === 2) throw new Error();
if (a === 3) throw new Error(); // Untested: the same.
if (a === 4) throw new Error();
`;

test("branchesOf() counts what was not reached, with the reason beside it", () => {
  const record = (path: string) =>
    `SF:/r/${path}\nBRDA:1,1,0,7\nBRDA:4,2,0,0\nBRDA:5,3,0,-\nBRDA:6,4,0,0\nDA:1,2\nend_of_record\n`;
  const found = branchesOf(record("src/b.ts") + record("src/a.ts") + record("tests/c.ts"), {
    root: "/r",
    isWanted: (path) => path.startsWith("src/"),
    read: () => SOURCE,
  });
  assert.deepEqual(found.map(({ path, count }) => `${path} ${count}`), ["src/a.ts 4", "src/b.ts 4"]);
  assert.deepEqual(found[0]!.open.map(({ lineNumber, text, reason }) => ({ lineNumber, text, reason })), [
    {
      lineNumber: 4,
      text: "if (a === 2) throw new Error();",
      reason: "SQLite never says that, and nobody can make it.",
    },
    {
      lineNumber: 5,
      text: "if (a === 3) throw new Error(); // Untested: the same.",
      reason: "the same.",
    },
    { lineNumber: 6, text: "if (a === 4) throw new Error();", reason: undefined },
  ]);
});
