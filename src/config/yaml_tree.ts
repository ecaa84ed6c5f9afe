/**
 * YAML as a tree of literal texts with places: what the scalars mean is decided by the field that reads them. Anchors are
 * resolved, merge keys merged, and what YAML swallows silently (duplicate keys, later documents) is noted.
 */
import { isAlias, isMap, isScalar, isSeq, type ParsedDocuments, parseDocuments } from "./yaml_documents.ts";
import type { Alias, Node, YAMLMap, YAMLSeq } from "./yaml_documents.ts";

/** Offsets into the text, from the first character to after the last. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A text with its tag, if it has one. A plain scalar stands without quotes. */
export interface ScalarNode extends Range {
  readonly kind: "scalar";
  readonly text: string;
  readonly isPlain: boolean;
  readonly tag: string | undefined;
}

/** A sequence. */
export interface ListNode extends Range {
  readonly kind: "list";
  readonly items: readonly TreeNode[];
}

/** A mapping, merged and without duplicates. */
export interface MapNode extends Range {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, Entry>;
}

/** A key with its value. */
export interface Entry {
  readonly key: string;
  readonly keyStart: number;
  readonly value: TreeNode;
  /** Whether something within the value can be referred to from elsewhere. */
  readonly isAnchored: boolean;
}

/** Any node. */
export type TreeNode = ScalarNode | ListNode | MapNode;

/** Something that YAML lets pass without a word. */
export interface TreeNote {
  readonly kind: "duplicate" | "no-effect";
  readonly offset: number;
  readonly message: string;
}

/** What was read. */
export interface Tree {
  readonly root: TreeNode;
  readonly notes: readonly TreeNote[];
}

/** The text is no YAML that we can use. */
export class YamlError extends Error {
  override readonly name = "YamlError";

  constructor(message: string, readonly offset: number) {
    super(message);
  }
}

/** Deeper than any sensible file, and shallow enough for every stack. */
const MAX_DEPTH = 100;

const MERGE_TAG = "tag:yaml.org,2002:merge";

/**
 * Parse the first document of `text`.
 *
 * @throws {YamlError} for what is no YAML, has an unknown or recursive anchor, or nests too deep
 */
export function parseYamlTree(text: string): Tree {
  checkCharacters(text);
  checkDepth(text);
  const { documents, originalOffset } = parseOrRefuse(text);
  const [document, next] = documents;
  const notes: TreeNote[] = [];
  if (document === undefined) return { root: emptyScalar(0), notes };
  const [error] = document.errors;
  if (error !== undefined) throw new YamlError(errorText(error), originalOffset(error.pos[0]));
  const root = new TreeBuilder(notes, originalOffset).build(document.contents as Node | null);
  if (next !== undefined && next.contents !== null) {
    const offset = originalOffset(next.contents.range?.[0] ?? document.range[2]);
    notes.push({
      kind: "no-effect",
      offset,
      message: "only the first YAML document is read: this one is ignored",
    });
  }
  return { root, notes };
}

function parseOrRefuse(text: string): ParsedDocuments {
  try {
    return parseDocuments(text);
  } catch (error) {
    throw new YamlError(
      error instanceof RangeError ? `nested deeper than ${MAX_DEPTH}` : "no YAML that can be read",
      0,
    );
  }
}

/** The library's text without the piece of the file that it shows: an unquoted secret can look like anything. */
function errorText({ code, message }: { code: string; message: string }): string {
  if (code === "TAG_RESOLVE_FAILED") return "an unknown tag: put a text that begins with ! in quotes";
  if (message.includes("call stack")) return `nested deeper than ${MAX_DEPTH}`;
  return message.replace(/: ["{[\s\S].*$/s, "").replaceAll(/\s+/g, " ");
}

/** Refuse what YAML doesn't allow anywhere. */
function checkCharacters(text: string): void {
  // deno-lint-ignore no-control-regex
  const match = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]|[\ud800-\udfff]/u.exec(text);
  if (match !== null) throw new YamlError("control characters are not allowed", match.index);
}

/** Refuse a tower of brackets or dashes before a parser climbs it: the time and the stack it takes grow with the height. */
function checkDepth(text: string): void {
  const match = /(?:[[{?][ \t\r\n]*){101}|(?:[-?:][ \t]+){101}/.exec(text);
  if (match !== null) throw new YamlError(`nested deeper than ${MAX_DEPTH}`, match.index);
}

function emptyScalar(offset: number): ScalarNode {
  return { kind: "scalar", text: "", isPlain: true, tag: undefined, start: offset, end: offset };
}

/** Makes our nodes of the library's, each once: an anchor's node is shared by all its aliases. */
class TreeBuilder {
  readonly #notes: TreeNote[];
  /** `undefined` while the node of the anchor is being built. */
  readonly #anchors = new Map<string, TreeNode | undefined>();
  #anchorCount = 0;

  readonly #originalOffset: (offset: number) => number;

  constructor(notes: TreeNote[], originalOffset: (offset: number) => number) {
    this.#notes = notes;
    this.#originalOffset = originalOffset;
  }

  build(node: Node | null, depth = 0, offset = 0): TreeNode {
    if (node === null) return emptyScalar(offset);
    const start = node.range ? this.#originalOffset(node.range[0]) : offset;
    const end = node.range ? this.#originalOffset(node.range[1]) : offset;
    if (depth > MAX_DEPTH) throw new YamlError(`nested deeper than ${MAX_DEPTH}`, start);
    if (isAlias(node)) return this.#aliased(node, start);
    if (node.anchor !== undefined) {
      this.#anchorCount++;
      this.#anchors.set(node.anchor, undefined);
    }
    const built = this.#buildNew(node, { start, end }, depth);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, built);
    return built;
  }

  #buildNew(node: Node, range: Range, depth: number): TreeNode {
    if (isSeq(node)) {
      const items = (node as YAMLSeq<Node | null>).items.map((item) =>
        this.build(item, depth + 1, range.start)
      );
      return { kind: "list", items, ...range };
    }
    if (isMap(node)) return this.#buildMap(node as YAMLMap<Node, Node | null>, range, depth);
    if (!isScalar(node)) throw new YamlError("neither text, list nor mapping", range.start);
    const isPlain = (node.type ?? "PLAIN") === "PLAIN";
    const text = node.source ?? String(node.value ?? "");
    return { kind: "scalar", text, isPlain, tag: node.tag, ...range };
  }

  #aliased({ source }: Alias, offset: number): TreeNode {
    if (!this.#anchors.has(source)) {
      throw new YamlError("unknown anchor referenced: put a text that begins with * in quotes", offset);
    }
    const target = this.#anchors.get(source);
    if (target === undefined) throw new YamlError("an anchor's value contains itself", offset);
    return target;
  }

  /** In the order of the file, the last of a key wins, also over or under a merge: as Litestream 0.3 reads it. */
  #buildMap(node: YAMLMap<Node, Node | null>, range: Range, depth: number): MapNode {
    const entries = new Map<string, Entry>();
    const own = new Set<string>();
    for (const pair of node.items) {
      const anchorCount = this.#anchorCount;
      const key = this.build(pair.key, depth + 1, range.start);
      const value = this.build(pair.value, depth + 1, key.end);
      if (isMergeKey(key)) {
        for (const source of mergeSources(value, key.start)) {
          this.#merge(source, { into: entries, own, offset: key.start });
        }
        continue;
      }
      if (key.kind !== "scalar") throw new YamlError(`a key must be a text, not a ${key.kind}`, key.start);
      const name = key.isPlain && /^(?:~|null|Null|NULL)$/.test(key.text) ? "" : key.text;
      const before = entries.get(name);
      const entry = {
        key: name,
        // Not the key's own place: that of an aliased key is where its anchor stands.
        keyStart: pair.key.range ? this.#originalOffset(pair.key.range[0]) : key.start,
        value,
        isAnchored: this.#anchorCount > anchorCount,
      };
      if (own.has(name)) {
        const message = `key "${shownWord(name)}" stands here twice: the last one counts`;
        this.#notes.push({ kind: "duplicate", offset: entry.keyStart, message });
      }
      own.add(name);
      entries.set(name, before === undefined ? entry : joined(before, entry));
    }
    return { kind: "map", entries, ...range };
  }

  #merge(
    source: MapNode,
    { into, own, offset }: { into: Map<string, Entry>; own: ReadonlySet<string>; offset: number },
  ): void {
    for (const [name, entry] of source.entries) {
      const before = into.get(name);
      if (own.has(name)) {
        const message = `"<<" replaces the key "${shownWord(name)}" that stands before it: write "<<" first`;
        this.#notes.push({ kind: "duplicate", offset, message });
      }
      into.set(name, before === undefined ? entry : joined(before, entry));
    }
  }
}

/** Two mappings under one key count together, key by key; of anything else the later one counts. */
function joined(before: Entry, after: Entry): Entry {
  if (before.value.kind !== "map" || after.value.kind !== "map") return after;
  const entries = new Map([...before.value.entries, ...after.value.entries]);
  return { ...after, value: { ...after.value, entries } };
}

function isMergeKey(key: TreeNode): boolean {
  return key.kind === "scalar" && key.text === "<<" &&
    (key.tag === MERGE_TAG || (key.isPlain && key.tag === undefined));
}

/** The mappings to merge, the weakest first. */
function mergeSources(value: TreeNode, offset: number): MapNode[] {
  const sources = value.kind === "list" ? value.items.toReversed() : [value];
  return sources.map((source) => {
    if (source.kind === "map") return source;
    throw new YamlError("map merge requires map or sequence of maps as the value", offset);
  });
}

/**
 * A key or a value as a message shows it: its first word. Where a blank or a comma was forgotten a secret comes behind
 * that: `secret-access-key:wJalr…` is one key.
 */
export function shownWord(text: string): string {
  const [word] = /^[^:=\s]{0,60}/u.exec(text)!;
  const shown = JSON.stringify(word).slice(1, -1);
  return word === text ? shown : `${shown}…`;
}
