/** One section of the file, read by the table of keys: typed values, and findings for what doesn't fit. */
import type { Findings } from "./findings.ts";
import { type KeyFact, keyFact, KEYS, type Section } from "./keys.ts";
import { insteadOf } from "./foreign_keys.ts";
import { nearestName } from "./nearest_key.ts";
import { countOf, durationOf, resolvePlain, sizeOf } from "./scalar.ts";
import { assert } from "../errors.ts";
import { formatGoDuration } from "../duration.ts";
import { type Entry, type ScalarNode, shownWord, type TreeNode } from "./yaml_tree.ts";

/** A value as its kind reads it. */
type Value = string | number | boolean | readonly Text[] | SectionValues | readonly SectionValues[];

/** A text with its place. */
export interface Text {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** A file can refer to one list a thousand times from a thousand places; nobody means that. */
const MAX_SECTIONS = 100_000;

const BINARY_TAG = "tag:yaml.org,2002:binary";

/** What reading a section needs to know. */
export interface SectionReader {
  readonly findings: Findings;
  /** Counts the sections read so far, all together. */
  sectionCount: number;
}

interface Field {
  readonly value: Value;
  readonly keyStart: number;
  readonly start: number;
  readonly end: number;
}

/** The values of a section. An empty text counts as absent, as in Litestream 0.3. */
export class SectionValues {
  readonly #fields: ReadonlyMap<string, Field>;

  constructor(
    readonly section: Section,
    /** Where it stands in the expanded text. */
    readonly start: number,
    /** Whether some value of it can't be used; a finding says so. */
    readonly isBroken: boolean,
    fields: ReadonlyMap<string, Field>,
  ) {
    this.#fields = fields;
  }

  /** Read a mapping (or nothing); what isn't either is a finding. */
  static read(node: TreeNode, section: Section, reader: SectionReader): SectionValues {
    const fields = new Map<string, Field>();
    let isBroken = false;
    if (node.kind !== "map") {
      if (!isUnset(node)) {
        reader.findings.add(
          "wrong",
          node.start,
          `${titleOf(section)} must be a mapping, found ${kindOf(node)}`,
        );
        isBroken = true;
      }
      return new SectionValues(section, node.start, isBroken, fields);
    }
    if (++reader.sectionCount > MAX_SECTIONS) {
      if (reader.sectionCount === MAX_SECTIONS + 1) {
        reader.findings.add("wrong", node.start, `more than ${MAX_SECTIONS} databases and replicas`);
      }
      return new SectionValues(section, node.start, true, fields);
    }
    for (const entry of node.entries.values()) {
      const fact = keyFact(section, entry.key);
      if (fact === undefined) {
        reportUnknown(entry, section, reader.findings);
        continue;
      }
      if (isUnset(entry.value)) continue;
      const value = readValue(entry.value, fact, reader);
      if (value === undefined || (value instanceof SectionValues && value.isBroken)) isBroken = true;
      if (value === undefined) continue;
      fields.set(entry.key, {
        value,
        keyStart: entry.keyStart,
        start: entry.value.start,
        end: entry.value.end,
      });
    }
    return new SectionValues(section, node.start, isBroken, fields);
  }

  /** The names of the keys that have a value. */
  keys(): string[] {
    return [...this.#fields.keys()];
  }

  text(key: string): string | undefined {
    const value = this.#get(key);
    assert(value === undefined || typeof value === "string", `${key} is no text`);
    return value === "" ? undefined : value;
  }

  flag(key: string): boolean | undefined {
    const value = this.#get(key);
    assert(value === undefined || typeof value === "boolean", `${key} is no flag`);
    return value;
  }

  number(key: string): number | undefined {
    const value = this.#get(key);
    assert(value === undefined || typeof value === "number", `${key} is no number`);
    return value;
  }

  /** The number, or the table's default. */
  numberOrDefault(key: string): number {
    const standard = keyFact(this.section, key)?.default;
    assert(typeof standard === "number", `${key} has no default`);
    return this.number(key) ?? standard;
  }

  texts(key: string): readonly Text[] {
    const value = this.#get(key) ?? [];
    assert(Array.isArray(value), `${key} is no list`);
    return value as readonly Text[];
  }

  child(key: string): SectionValues | undefined {
    const value = this.#get(key);
    assert(value === undefined || value instanceof SectionValues, `${key} is no section`);
    return value;
  }

  children(key: string): readonly SectionValues[] {
    const value = this.#get(key) ?? [];
    assert(Array.isArray(value), `${key} is no list of sections`);
    return value as readonly SectionValues[];
  }

  /** Where the value of `key` stands; where the section does when there is none. */
  offsetOf(key: string): number {
    return this.#fields.get(key)?.start ?? this.start;
  }

  /** Where the key itself stands. */
  keyOffsetOf(key: string): number {
    return this.#fields.get(key)?.keyStart ?? this.start;
  }

  /** Where the value of `key` ends. */
  endOf(key: string): number {
    return this.#fields.get(key)?.end ?? this.start;
  }

  #get(key: string): Value | undefined {
    assert(keyFact(this.section, key) !== undefined, `${this.section} has no key ${key}`);
    return this.#fields.get(key)?.value;
  }
}

function titleOf(section: Section): string {
  if (section === "top") return "the configuration";
  return section === "database" || section === "replica" ? `a ${section}` : section;
}

function isUnset(node: TreeNode): boolean {
  return node.kind === "scalar" && node.isPlain && !isText(node) && resolvePlain(node.text).kind === "null";
}

/** Whether quotes or a tag make the scalar a text. */
function isText({ isPlain, tag }: ScalarNode): boolean {
  return !isPlain || tag === "tag:yaml.org,2002:str" || tag === "!" || tag === BINARY_TAG;
}

/** What stands there, without a word of it: a text where none belongs may hold a secret. */
function kindOf(node: TreeNode): string {
  if (node.kind === "list") return "a list";
  if (node.kind === "map") return "a mapping";
  if (isUnset(node)) return "nothing";
  return node.tag === BINARY_TAG ? "!!binary" : "a text";
}

function readValue(node: TreeNode, fact: KeyFact, reader: SectionReader): Value | undefined {
  const refuse = (what: string, at: TreeNode = node, found = kindOf(at)): undefined => {
    reader.findings.add("wrong", at.start, `${fact.key} must be ${what}, found ${found}`);
    return undefined;
  };
  if (fact.kind === "section") return SectionValues.read(node, sectionOf(fact.key), reader);
  if (fact.kind === "sections") return readSections(node, { fact, reader, refuse });
  if (fact.kind === "texts") {
    if (node.kind !== "list") return refuse("a list");
    const texts = node.items.map((item) => {
      const text = item.kind === "scalar" ? textOf(item) : undefined;
      return text === undefined
        ? refuse("a list of texts", item)
        : { text, start: item.start, end: item.end };
    });
    return texts.every((text) => text !== undefined) ? texts : undefined;
  }
  if (node.kind !== "scalar") return refuse(EXPECTED[fact.kind]);
  const value = readScalar(node, { fact, reader });
  if (value !== undefined) return value;
  const found = fact.kind === "text" || isUnset(node) ? kindOf(node) : `"${shownWord(node.text)}"`;
  return refuse(EXPECTED[fact.kind], node, found);
}

const EXPECTED: Readonly<Record<Exclude<KeyFact["kind"], "section" | "sections" | "texts">, string>> = {
  text: "a text",
  flag: "true or false",
  count: "a whole number",
  duration: "a duration such as 30s, 10m or 24h",
  size: "a size such as 8MiB",
  rate: "bytes a second such as 10M",
};

function readScalar(
  node: ScalarNode,
  { fact, reader }: { fact: KeyFact; reader: SectionReader },
): string | number | boolean | undefined {
  if (fact.kind === "text") return textOf(node);
  const isPlain = !isText(node);
  const plain = isPlain ? resolvePlain(node.text) : { kind: "text" } as const;
  if (fact.kind === "flag") return plain.kind === "boolean" ? plain.value : undefined;
  if (fact.kind === "count") return countOf(plain);
  if (fact.kind === "size" || fact.kind === "rate") return sizeOf(node.text);
  try {
    const { durationMs, isBare } = durationOf(node.text, { isPlain });
    if (isBare) {
      const message = `${fact.key}: a number without a unit is nanoseconds (${node.text} is ${
        formatGoDuration(durationMs)
      }): write ${durationMs < 1 ? `${shownWord(node.text)}s for seconds` : formatGoDuration(durationMs)}`;
      reader.findings.add("bare-duration", node.start, message);
    }
    return durationMs;
  } catch {
    return undefined;
  }
}

/** The literal text of a scalar; `!!binary` is decoded. */
function textOf(node: ScalarNode): string | undefined {
  if (isUnset(node)) return "";
  if (node.tag !== BINARY_TAG) return node.text;
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(node.text), (mark) => mark.charCodeAt(0)));
  } catch {
    return undefined;
  }
}

function readSections(
  node: TreeNode,
  { fact, reader, refuse }: { fact: KeyFact; reader: SectionReader; refuse: (what: string) => undefined },
): readonly SectionValues[] | undefined {
  if (node.kind !== "list") return refuse("a list");
  return node.items.map((item, itemIndex) => {
    if (isUnset(item)) {
      const message = `${fact.key}: entry ${itemIndex + 1} is empty: fill it in or remove its dash`;
      reader.findings.add("wrong", item.start, message);
      return new SectionValues(sectionOf(fact.key), item.start, true, new Map());
    }
    return SectionValues.read(item, sectionOf(fact.key), reader);
  });
}

function sectionOf(key: string): Section {
  if (key === "dbs") return "database";
  if (key === "replicas") return "replica";
  assert(key === "logging" || key === "age", `${key} is no section`);
  return key;
}

/** Names for anchors alone, as other tools have them, are left in peace: `x-…`, `.…`, and whatever has an anchor. */
function reportUnknown({ key, keyStart, isAnchored }: Entry, section: Section, findings: Findings): void {
  if (findings.isFull || isAnchored || key.startsWith("x-") || key.startsWith(".")) return;
  const instead = insteadOf(section, key);
  const name = `"${shownWord(key)}"`;
  if (instead !== undefined) {
    findings.add(
      "other-version",
      keyStart,
      `key ${name} is of another version of Litestream and ignored: ${instead}`,
    );
    return;
  }
  const elsewhere = KEYS.filter((fact) => fact.key === key).map((fact) => WHERE[fact.section]);
  if (elsewhere.length > 0) {
    findings.add(
      "no-effect",
      keyStart,
      `key ${name} has no effect here: it belongs ${elsewhere.join(" or ")}`,
    );
    return;
  }
  findings.add("unknown-key", keyStart, `unknown key ${name} is ignored${unknownKeyHint(key, section)}`);
}

function unknownKeyHint(key: string, section: Section): string {
  const [before] = key.split(":", 1);
  if (before !== key && keyFact(section, before!) !== undefined) return `: put a blank behind "${before}:"`;
  const near = nearestName(key, KEYS.filter((fact) => fact.section === section).map((fact) => fact.key)) ??
    nearestName(key, KEYS.map((fact) => fact.key));
  return near === undefined ? "" : `: did you mean "${near}"?`;
}

const WHERE: Readonly<Record<Section, string>> = {
  top: "at the top",
  logging: "under logging",
  database: "in a database",
  replica: "in a replica",
  age: "under age",
};
