import assert from "node:assert/strict";
import { test } from "node:test";
import { parseYamlTree, type TreeNode, YamlError } from "../../src/config/yaml_tree.ts";

/** Texts, lists and objects, for comparing. */
function plain(node: TreeNode): unknown {
  if (node.kind === "scalar") return node.text;
  if (node.kind === "list") return node.items.map(plain);
  return Object.fromEntries([...node.entries].map(([key, { value }]) => [key, plain(value)]));
}

test("parseYamlTree() keeps every scalar and key as the text that it is", () => {
  const text =
    "no: 0123\nyes: 1e3\n1.0: yes\n~: x\nd: 2001-01-01\nq: '0x1'\nm: a\n  b\nf: >-\n  x\n  y\nl: |\n  x\n  y\n? c\n";
  assert.deepEqual(plain(parseYamlTree(text).root), {
    "no": "0123",
    "yes": "1e3",
    "1.0": "yes",
    "": "x",
    "d": "2001-01-01",
    "q": "0x1",
    "m": "a b",
    "f": "x y",
    "l": "x\ny\n",
    "c": "",
  });
});

test("parseYamlTree() merges in the order of the file, the last one counts", () => {
  const cases: [string, unknown, number][] = [
    ["{a: &a {x: 1, y: 2}, b: {<<: *a, x: 3}}", { x: "3", y: "2" }, 0],
    ["{a: &a {x: 1, y: 2}, b: {x: 3, <<: *a}}", { x: "1", y: "2" }, 1],
    ["{a: &a {x: 1}, c: &c {x: 2, y: 2}, b: {<<: [*a, *c]}}", { x: "1", y: "2" }, 0],
    ["{b: {<<: {x: 1}, '<<': 5}}", { "x": "1", "<<": "5" }, 0],
    ["{b: {l: {x: 1}, l: {y: 2}}}", { l: { x: "1", y: "2" } }, 1],
    ["{b: {l: [x], l: [y]}}", { l: ["y"] }, 1],
  ];
  for (const [text, expected, noteCount] of cases) {
    const { root, notes } = parseYamlTree(text);
    assert.deepEqual((plain(root) as { b: unknown }).b, expected, text);
    assert.equal(notes.length, noteCount, text);
  }
});

test("parseYamlTree() resolves an anchor to the last one before its alias", () => {
  assert.deepEqual(plain(parseYamlTree("[&a 1, *a, &a 2, *a]").root), ["1", "1", "2", "2"]);
});

test("parseYamlTree() takes lines within brackets and quotes however they are indented", () => {
  const cases: [string, unknown][] = [
    ["a: [\n{b: c,\nd: [e\n]\n}\n]\nf: g", { a: [{ b: "c", d: ["e"] }], f: "g" }],
    ['a: "x\ny\n\nz"\nf: g', { a: "x y\nz", f: "g" }],
    ["- a: 'x\ny'\n- b", [{ a: "x y" }, "b"]],
    ['a: "x\\"\ny"', { a: 'x" y' }],
    ["a: [b]#c\nf: g", { a: ["b"], f: "g" }],
    ['a: "x\\\\"\nb: y', { a: "x\\", b: "y" }],
    ['a:\n  - {b: [\nc], d: "e\nf"}\ng: h', { a: [{ b: ["c"], d: "e f" }], g: "h" }],
  ];
  for (const [text, expected] of cases) assert.deepEqual(plain(parseYamlTree(text).root), expected, text);
});

test("parseYamlTree() knows the places of what it indented", () => {
  const text = "a: [\n{b: c},\nd\n]\nf: g";
  const { root } = parseYamlTree(text);
  assert.ok(root.kind === "map");
  const list = root.entries.get("a")!.value;
  assert.ok(list.kind === "list");
  assert.equal(list.items[1]!.start, text.indexOf("d\n"));
  assert.equal(root.entries.get("f")!.keyStart, text.indexOf("f: g"));
  assert.equal(root.entries.get("f")!.value.start, text.indexOf("g"));
});

test("parseYamlTree() refuses what it can't use, at its place", () => {
  const cases: [string, RegExp, number][] = [
    ["a: [b", /./, 5],
    ["a: *b", /^unknown anchor referenced: put/, 3],
    ["a: &b [*b]", /^an anchor's value contains itself$/, 7],
    ["a: x\nb: \u0001", /^control characters are not allowed$/, 8],
    ["a: \ud800", /^control characters/, 3],
    ["[a]: b", /^a key must be a text, not a list$/, 0],
    ["<<: 5", /^map merge requires map or sequence of maps as the value$/, 0],
    [`a: ${"[".repeat(200)}`, /^nested deeper than 100$/, 3],
    [`${"{a: ".repeat(200)}x${"}".repeat(200)}`, /^nested deeper than 100$/, 401],
    ["a: b: c", /./, 3],
    ["a:\n\t- b", /./, 3],
  ];
  for (const [text, message, offset] of cases) {
    assert.throws(() => parseYamlTree(text), (error) => {
      assert.ok(error instanceof YamlError, `${text} ${error}`);
      assert.match(error.message, message, text);
      assert.equal(error.offset, offset, text);
      return true;
    });
  }
});

test("parseYamlTree() shows nothing of the file in its errors", () => {
  for (
    const text of [
      'a: "geheim" geheim',
      "a: b\n geheim: x: y",
      "}geheim",
      "a: geheim\n- geheim",
      "%geheim\na",
      "a: !geheim! x",
      "a: *geheim",
    ]
  ) {
    assert.throws(() => parseYamlTree(text), (error) => {
      assert.doesNotMatch((error as Error).message, /geheim/, text);
      return true;
    }, text);
  }
});

test("parseYamlTree() shares what an alias means instead of copying it", () => {
  const bomb = [
    "a0: &a0 [x, x]",
    ...Array.from({ length: 60 }, (_, at) => `a${at + 1}: &a${at + 1} [*a${at}, *a${at}]`),
  ];
  const { root } = parseYamlTree(bomb.join("\n"));
  assert.ok(root.kind === "map");
  assert.equal(root.entries.size, 61);
});
