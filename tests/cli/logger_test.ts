import { test } from "node:test";
import assert from "node:assert/strict";
import { createLogger, type LoggerOptions } from "../../src/cli/logger.ts";

const AT = new Date(2026, 10, 22, 20, 36, 8, 120);

/** The offset of the machine's zone at `AT` as Go writes it, by other means than the code under test. */
function zoneAt(): string {
  const name = new Intl.DateTimeFormat("en-US", { timeZoneName: "longOffset" }).formatToParts(AT)
    .find((part) => part.type === "timeZoneName")!.value.slice("GMT".length);
  return name === "" || name === "+00:00" ? "Z" : name;
}

function collect(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  return { lines, logger: createLogger({ write: (line) => lines.push(line), now: () => AT, ...options }) };
}

/** What one value becomes behind `key=`. */
function textOf(value: unknown): string {
  const { lines, logger } = collect();
  logger.info("m", { key: value });
  return /^2026\/11\/22 20:36:08 INFO m key=(.*)\n$/s.exec(lines[0]!)![1]!;
}

test("createLogger() writes the default format (case 111)", () => {
  const { lines, logger } = collect();
  logger.error("failed to run", { error: new Error("outer", { cause: new Error("inner\nnext") }), n: 3 });
  assert.deepEqual(lines, ['2026/11/22 20:36:08 ERROR failed to run error="outer: inner next" n=3\n']);
});

test("createLogger() writes the text format (case 111)", () => {
  const { lines, logger } = collect({ type: "text" });
  logger.warn("sync: new generation", { db: "/data/app.db", reason: "" });
  assert.deepEqual(lines, [
    `time=2026-11-22T20:36:08.120${zoneAt()} level=WARN msg="sync: new generation" db=/data/app.db reason=""\n`,
  ]);
});

test("createLogger() writes the JSON format (case 111)", () => {
  const { lines, logger } = collect({ type: "json" });
  logger.info("wal segment written", {
    position: "a/0:1",
    elapsed: { durationMs: 1.5 },
    sz: 4096,
    big: 2n ** 60n,
    html: "<&>",
    none: null,
    absent: undefined,
    list: ["a", 1],
    error: new Error("x"),
    bad: Number.NaN,
  });
  assert.equal(
    lines[0],
    `{"time":"2026-11-22T20:36:08.12${zoneAt()}","level":"INFO","msg":"wal segment written",` +
      `"position":"a/0:1","elapsed":1500000,"sz":4096,"big":1152921504606846976,"html":"<&>","none":null,` +
      `"list":["a",1],"error":"x","bad":"NaN"}\n`,
  );
});

test("createLogger() leaves out the fraction of a whole second in JSON", () => {
  const whole = new Date(2026, 10, 22, 20, 36, 10);
  const { lines, logger } = collect({ type: "json", now: () => whole });
  logger.info("m");
  assert.match(lines[0]!, /"time":"2026-11-22T20:36:10(Z|[+-]\d\d:\d\d)"/);
});

test("createLogger() quotes values as Go does", () => {
  const cases: [unknown, string][] = [
    ["", '""'],
    ["plain", "plain"],
    ["two words", '"two words"'],
    ["a=b", '"a=b"'],
    ['say "x"', '"say \\"x\\""'],
    ["C:\\data", "C:\\data"],
    ["C:\\my data", '"C:\\\\my data"'],
    ["tab\there", '"tab\\there"'],
    ["line\nend", '"line\\nend"'],
    ["\x1b[31m", '"\\x1b[31m"'],
    ["\x7f", '"\\x7f"'],
    ["Grüße", "Grüße"],
    ["日本", "日本"],
    ["no\u00a0break", '"no\\u00a0break"'],
    ["\u{e0001}", '"\\U000e0001"'],
    ["\ud800", '"\ufffd"'],
    [12, "12"],
    [true, "true"],
    [null, "<nil>"],
    [{ durationMs: 1_000 }, "1s"],
    [{ durationMs: 3_661_500 }, "1h1m1.5s"],
    [AT, `2026-11-22T20:36:08.120${zoneAt()}`],
    [["a b"], '"[\\"a b\\"]"'],
  ];
  for (const [value, text] of cases) assert.equal(textOf(value), text);
});

test("createLogger() drops what is below its level (case 111)", () => {
  const { lines, logger } = collect({ level: "warn" });
  logger.debug("a");
  logger.info("b");
  logger.warn("c");
  logger.with({ x: 1 }).info("d");
  logger.with({ x: 1 }).error("e");
  assert.deepEqual(lines.map((line) => line.slice(20)), ["WARN c\n", "ERROR e x=1\n"]);
});

test("createLogger() puts the fields of a scope in front and leaves the outer logger alone", () => {
  const { lines, logger } = collect();
  const scoped = logger.with({ db: "/a.db" }).with({ replica: "file" });
  scoped.info("m", { n: 1 });
  logger.info("m", { n: 2 });
  assert.deepEqual(lines.map((line) => line.slice(20)), [
    "INFO m db=/a.db replica=file n=1\n",
    "INFO m n=2\n",
  ]);
});
