import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { expandEnvironment, unexpandedText } from "../../src/config/expand_environment.ts";

const ENVIRONMENT: Readonly<Record<string, string>> = {
  NAME: "value",
  EMPTY: "",
  "1": "one",
  "-": "dash",
  A_1: "under",
  "a b": "blank",
};

function expand(text: string) {
  return expandEnvironment(text, (name) => Object.hasOwn(ENVIRONMENT, name) ? ENVIRONMENT[name] : undefined);
}

test("expandEnvironment() has every quirk of its origin (case 95)", () => {
  const cases: [string, string][] = [
    ["$NAME", "value"],
    ["${NAME}", "value"],
    ["x${NAME}y", "xvaluey"],
    ["$NAMEx", ""],
    ["$A_1.", "under."],
    ["${a b}", "blank"],
    ["$UNSET|${UNSET}|", "||"],
    ["${X:-d}", ""],
    ["a$$b", "ab"],
    ["$1x", "onex"],
    ["$2x", "x"],
    ["$-", "dash"],
    ["$*$#$@$!$?", ""],
    ["${}x", "x"],
    ["${x", "x"],
    ["${NAME} ${x", "value x"],
    ["$ y and $%", "$ y and $%"],
    ["end$", "end$"],
    ["$\n$é$.", "$\n$é$."],
    ["${NAME${NAME}}", "}"],
    ["${A=B}${A\0}", ""],
    ["# $NAME in a comment", "# value in a comment"],
  ];
  for (const [text, expected] of cases) assert.equal(expand(text).text, expected, text);
});

test("unexpandedText() leaves all as it is", () => {
  const { text, unset, originalOffset, isFromEnvironment } = unexpandedText("a $NAME");
  assert.deepEqual([text, unset, originalOffset(3), isFromEnvironment(0, 7)], ["a $NAME", [], 3, false]);
});

test("expandEnvironment() names what isn't set, with its place", () => {
  assert.deepEqual(expand("$NAME $EMPTY $NOPE ${NO:-x}$$").unset, [
    { name: "NOPE", offset: 13 },
    { name: "NO:-x", offset: 19 },
    { name: "$", offset: 27 },
  ]);
});

test("expandEnvironment() maps places back", () => {
  const { text, originalOffset, isFromEnvironment } = expand("ab $NAME cd ${NOPE}ef $EMPTY.");
  assert.equal(text, "ab value cd ef .");
  const cases: [string, number, number][] = [
    ["a", 0, 0],
    ["v", 3, 3],
    ["e of value", 7, 3],
    ["blank behind", 8, 8],
    ["c", 9, 9],
    ["blank before ef", 11, 11],
    ["f", 13, 20],
    ["end", 16, 29],
  ];
  for (const [what, offset, original] of cases) assert.equal(originalOffset(offset), original, what);
  assert.deepEqual([isFromEnvironment(0, 3), isFromEnvironment(0, 4), isFromEnvironment(8, 16)], [
    false,
    true,
    false,
  ]);
});

test("expandEnvironment() gives every kept character its own place", () => {
  const seed = Date.now() % 1_000_000;
  const piece = fc.constantFrom(
    "$NAME",
    "${NAME}",
    "$EMPTY",
    "$$",
    "${",
    "}",
    "$",
    "a",
    " ",
    "\n",
    "é",
    "$UNSET",
    "_",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const original = pieces.join("");
      const { text, originalOffset, isFromEnvironment } = expand(original);
      let last = 0;
      for (let at = 0; at < text.length; at++) {
        const from = originalOffset(at);
        assert.ok(from >= last && from < original.length);
        last = from;
        if (!isFromEnvironment(at, at + 1)) assert.ok(original[from] === text[at] || original[from] === "$");
        else assert.equal(original[from], "$");
      }
    }),
    { seed, numRuns: 500 },
  );
});

test("expandEnvironment() takes a line of a million marks in its stride", () => {
  assert.equal(expand("${".repeat(500_000)).text, "");
  assert.equal(expand("$".repeat(1_000_000)).text.length, 0);
});
