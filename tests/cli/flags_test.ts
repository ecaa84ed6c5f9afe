import { test } from "node:test";
import assert from "node:assert/strict";
import { FlagError, HelpRequest, parseFlags } from "../../src/cli/flags.ts";

const SPECS = {
  o: { kind: "string" },
  "if-db-not-exists": { kind: "boolean" },
  parallelism: { kind: "integer" },
  hex: {
    kind: "value",
    parse(text: string): number {
      if (!/^[0-9a-f]+$/.test(text)) throw new Error("invalid hexadecimal format");
      return Number.parseInt(text, 16);
    },
  },
} as const;

test("parseFlags() reads one dash, two dashes, a blank and an equals sign", () => {
  for (const args of [["-o", "x"], ["--o", "x"], ["-o=x"], ["--o=x"]]) {
    assert.deepEqual(
      parseFlags([...args, "DB"], SPECS),
      { flags: { o: "x" }, positional: ["DB"] },
      args.join(" "),
    );
  }
});

test("parseFlags() keeps what follows an equals sign as it is", () => {
  assert.equal(parseFlags(["-o="], SPECS).flags.o, "");
  assert.equal(parseFlags(["-o=a=b"], SPECS).flags.o, "a=b");
  assert.equal(parseFlags(["-o", "-x"], SPECS).flags.o, "-x");
  assert.equal(parseFlags(["-o", "--"], SPECS).flags.o, "--");
});

test("parseFlags() lets the last one win", () => {
  assert.equal(parseFlags(["-o", "a", "--o=b"], SPECS).flags.o, "b");
});

test("parseFlags() stops at the first word that is no flag", () => {
  const cases: [string[], string[]][] = [
    [["DB", "-o", "x"], ["DB", "-o", "x"]],
    [["--", "-o", "x"], ["-o", "x"]],
    [["-", "-o", "x"], ["-", "-o", "x"]],
    [["", "-o"], ["", "-o"]],
    [[], []],
  ];
  for (const [args, positional] of cases) {
    assert.deepEqual(parseFlags(args, SPECS), { flags: {}, positional }, args.join(" "));
  }
});

test("parseFlags() reads a boolean's value only behind an equals sign", () => {
  assert.deepEqual(parseFlags(["-if-db-not-exists", "false"], SPECS), {
    flags: { "if-db-not-exists": true },
    positional: ["false"],
  });
  for (const word of ["1", "t", "T", "TRUE", "true", "True"]) {
    assert.equal(parseFlags([`-if-db-not-exists=${word}`], SPECS).flags["if-db-not-exists"], true, word);
  }
  for (const word of ["0", "f", "F", "FALSE", "false", "False"]) {
    assert.equal(parseFlags([`--if-db-not-exists=${word}`], SPECS).flags["if-db-not-exists"], false, word);
  }
});

test("parseFlags() reads Go's integers", () => {
  const cases: [string, number][] = [
    ["8", 8],
    ["-3", -3],
    ["+3", 3],
    ["0", 0],
    ["0x10", 16],
    ["0b11", 3],
    ["0o17", 15],
    ["017", 15],
    ["1_000", 1000],
  ];
  for (const [text, value] of cases) {
    assert.equal(parseFlags(["-parallelism", text], SPECS).flags.parallelism, value, text);
  }
});

test("parseFlags() says what is wrong in Go's words", () => {
  const cases: [string[], string][] = [
    [["-x"], "flag provided but not defined: -x"],
    [["--x=1"], "flag provided but not defined: -x"],
    [["-constructor"], "flag provided but not defined: -constructor"],
    [["-o"], "flag needs an argument: -o"],
    [["--o"], "flag needs an argument: -o"],
    [["-parallelism", "many"], 'invalid value "many" for flag -parallelism: parse error'],
    [["-parallelism=08"], 'invalid value "08" for flag -parallelism: parse error'],
    [["-parallelism=1.5"], 'invalid value "1.5" for flag -parallelism: parse error'],
    [["-parallelism="], 'invalid value "" for flag -parallelism: parse error'],
    [
      ["-parallelism=99999999999999999999"],
      'invalid value "99999999999999999999" for flag -parallelism: value out of range',
    ],
    [["-if-db-not-exists=maybe"], 'invalid boolean value "maybe" for -if-db-not-exists: parse error'],
    [["-if-db-not-exists="], 'invalid boolean value "" for -if-db-not-exists: parse error'],
    [["-hex", "zz"], 'invalid value "zz" for flag -hex: invalid hexadecimal format'],
    [["---o"], "bad flag syntax: ---o"],
    [["-=x"], "bad flag syntax: -=x"],
    [["--=x"], "bad flag syntax: --=x"],
  ];
  for (const [args, message] of cases) {
    assert.throws(() => parseFlags(args, SPECS), (error) => {
      assert.ok(error instanceof FlagError, args.join(" "));
      assert.equal(error.message, message);
      return true;
    });
  }
});

test("parseFlags() recognises the call for help", () => {
  for (const args of [["-h"], ["-help"], ["--help"], ["--h"], ["-o", "x", "-h"]]) {
    assert.throws(() => parseFlags(args, SPECS), HelpRequest, args.join(" "));
  }
  assert.deepEqual(parseFlags(["-o", "-h", "DB"], SPECS).flags, { o: "-h" });
  assert.deepEqual(parseFlags(["DB", "-h"], SPECS).positional, ["DB", "-h"]);
});
