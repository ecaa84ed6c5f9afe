import { test } from "node:test";
import assert from "node:assert/strict";
import { parseJunitReport } from "./junit.ts";

test("parseJunitReport() reads what Deno writes", () => {
  const results = parseJunitReport(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="2" failures="1" errors="0" time="0.264">
    <testsuite name="./tests/a_test.ts" tests="2" disabled="0" errors="0" failures="1">
        <testcase name="f() &lt;&quot;&gt;" classname="./tests/a_test.ts" time="0.001" line="3" col="24">
        </testcase>
        <testcase name="g()" classname="./tests/a_test.ts" time="0.006" line="4" col="1">
            <failure message="Uncaught">AssertionError: 1 !== 2
    at here</failure>
        </testcase>
    </testsuite>
</testsuites>`);
  assert.deepEqual(results, [
    { name: 'f() <">', file: "tests/a_test.ts", outcome: "passed", message: "" },
    {
      name: "g()",
      file: "tests/a_test.ts",
      outcome: "failed",
      message: "AssertionError: 1 !== 2\n    at here",
    },
  ]);
});

test("parseJunitReport() reads what Bun writes", () => {
  const results = parseJunitReport(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="3" assertions="0" failures="1" skipped="1" time="0.12">
  <testsuite name="tests/a_test.ts" file="tests/a_test.ts" tests="3">
    <testsuite name="group" file="tests/a_test.ts" tests="1">
      <testcase name="inner" classname="group" time="0.001" file="tests/a_test.ts" line="3" assertions="0" />
    </testsuite>
    <testcase name="g()" classname="" time="0.1" file="tests/a_test.ts" line="6" assertions="0">
      <failure type="Error" message="x"></failure>
    </testcase>
    <testcase name="h()" classname="" time="0" file="tests/a_test.ts"><skipped /></testcase>
  </testsuite>
</testsuites>`);
  assert.deepEqual(results, [
    { name: "inner", file: "tests/a_test.ts", outcome: "passed", message: "" },
    { name: "g()", file: "tests/a_test.ts", outcome: "failed", message: "x" },
    { name: "h()", file: "tests/a_test.ts", outcome: "skipped", message: "" },
  ]);
});

test("parseJunitReport() refuses a report that was cut off", () => {
  assert.throws(
    () => parseJunitReport('<testsuites><testsuite><testcase name="f()"'),
    /unclosed|end of input/i,
  );
});
