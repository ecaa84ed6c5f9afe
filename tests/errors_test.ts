import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as assertOurs, DamagedObjectError, describeError, NotFoundError } from "../src/errors.ts";

test("describeError() joins the causes in one line, each text once", () => {
  const inner = new Error("ENOSPC: no space\n  left on device");
  const error = new Error("cannot write x", { cause: new Error("cannot write x", { cause: inner }) });
  assert.equal(describeError(error), "cannot write x: ENOSPC: no space left on device");
  assert.equal(describeError("text"), "text");
  assert.equal(describeError(new Error("outer", { cause: "plain" })), "outer: plain");
  assert.equal(describeError(undefined), "");
});

test("describeError() doesn't repeat what a message took over of its causes", () => {
  const cause = new Error("cannot decode LZ4 block 0", { cause: new Error("not a legal LZ4 block\n at 5") });
  const cases: [string, string][] = [
    [describeError(cause), ""],
    [`a/b: ${describeError(cause)}`, ""],
    [`cannot read a/b: ${describeError(cause)} (2 tries)`, ""],
    [`cannot read a/b: ${cause.message} of 3`, `: ${describeError(cause)}`],
  ];
  for (const [message, rest] of cases) {
    assert.equal(describeError(new Error(message, { cause })), message + rest);
  }
  // Letters of another word say nothing of the cause.
  assert.equal(
    describeError(new Error("cannot open busy.db", { cause: "busy" })),
    "cannot open busy.db: busy",
  );
});

test("describeError() ends on causes that go round in a circle", () => {
  const left = new Error("left");
  left.cause = new Error("right", { cause: left });
  assert.equal(describeError(left), "left: right");
});

test("the errors carry their names and DamagedObjectError its key", () => {
  assert.equal(new NotFoundError("x").name, "NotFoundError");
  const error = new DamagedObjectError("a/b", "cut short");
  assert.equal(error.key, "a/b");
  assert.equal(error.message, "a/b: cut short");
});

test("assert() throws for what isn't so", () => {
  assertOurs(1, "one");
  assert.throws(() => assertOurs(0, "zero"), { message: "assertion failed: zero" });
});
