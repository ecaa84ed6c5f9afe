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

test("describeError() ends on causes that go round in a circle", () => {
  const left = new Error("left");
  left.cause = new Error("right", { cause: left });
  assert.match(describeError(left), /^left: right: left/);
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
