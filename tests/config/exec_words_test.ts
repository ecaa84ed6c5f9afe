import assert from "node:assert/strict";
import { test } from "node:test";
import { splitExecCommand } from "../../src/config/exec_words.ts";

test("splitExecCommand() splits as Litestream 0.3.13 was seen to", () => {
  const cases: [string, string[]][] = [
    ["a b", ["a", "b"]],
    ["  a \t\r\n b  ", ["a", "b"]],
    ["a'b c'd", ["ab cd"]],
    ['"a b"', ["a b"]],
    ['"a\\"b"', ['a"b']],
    ["a\\nb \\t", ["anb", "t"]],
    ["a\\ b", ["a b"]],
    ["x ''", ["x", ""]],
    ['x ""', ["x", ""]],
    ["`a b`", ["`a b`"]],
    ['"`a b`"', ["`a b`"]],
    ["$(a b)c", ["$(a b)c"]],
    ['$(a "b)', ['$(a "b)']],
    ["`a'b c'd`", ["`ab cd`"]],
    ["'a\\b'", ["a\\b"]],
    ["$HOME", ["$HOME"]],
    [`'it'"'"'s'`, ["it's"]],
    [`"a'b"`, ["a'b"]],
    ["`a;b`", ["`a;b`"]],
    ['`a"b` c"`', ["`ab` c`"]],
    ['"(" b', ["(", "b"]],
    ["')' c", [")", "c"]],
    ['"x`y z"', ["x`y z"]],
    ["`(`", ["`(`"]],
    ["`)`", ["`)`"]],
  ];
  for (const [command, words] of cases) assert.deepEqual(splitExecCommand(command), { words }, command);
});

test("splitExecCommand() tells what it ignores (case 108)", () => {
  const cases: [string, string[], string][] = [
    ["a && b", ["a"], "&& b"],
    ["a;b", ["a"], ";b"],
    ["a 2>x", ["a"], ">x"],
    ["a2 22>x", ["a2"], ">x"],
    ["a<b", ["a"], "<b"],
    ["a | 'b", ["a"], "| 'b"],
    ["a\\;b;c", ["a;b"], ";c"],
  ];
  for (const [command, words, ignored] of cases) {
    assert.deepEqual(splitExecCommand(command), { words, ignored }, command);
  }
});

test("splitExecCommand() refuses what is open or blank", () => {
  for (const command of ["'a", '"a', "a\\", "`a", '`"`', "$(a", ")", "a)", "(a)", "$a(b)", "$(a (b))"]) {
    assert.throws(() => splitExecCommand(command), {
      name: "UsageError",
      message: "cannot parse exec command: invalid command line string",
    }, command);
  }
  for (const command of ["", " ", "\t\n", "; a", "2>x"]) {
    assert.throws(
      () => splitExecCommand(command),
      { name: "UsageError", message: /^exec command is blank/ },
      command,
    );
  }
});
