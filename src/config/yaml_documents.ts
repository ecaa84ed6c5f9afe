/** The YAML library, and the one leniency that it lacks. */
import { CST, type Document, Lexer, parseAllDocuments } from "yaml";

export { isAlias, isMap, isScalar, isSeq } from "yaml";
export type { Alias, Document, Node, YAMLMap, YAMLSeq } from "yaml";

/** Parsed documents, whose places `originalOffset` brings back to the text that was given. */
export interface ParsedDocuments {
  readonly documents: readonly Document.Parsed[];
  readonly originalOffset: (offset: number) => number;
}

/**
 * Parse all documents of `text`; each carries its own errors. Every scalar stays the text that it is.
 *
 * @throws {RangeError} for what nests so deep that the stack ends
 */
export function parseDocuments(text: string): ParsedDocuments {
  const first = parse(text);
  if (first.every(({ errors }) => errors.length === 0)) {
    return {
      documents: first,
      originalOffset: (at) => at,
    };
  }
  const { indented, lineStarts } = indentContinuations(text);
  if (lineStarts.length === 0) return { documents: first, originalOffset: (at) => at };
  return { documents: parse(indented), originalOffset: (at) => offsetBefore(lineStarts, at) };
}

function parse(text: string): Document.Parsed[] {
  const documents = parseAllDocuments(text, {
    version: "1.1",
    schema: "failsafe",
    // A comment directly behind a bracket, as the library of Litestream 0.3 takes it.
    strict: false,
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: "silent",
  });
  return "empty" in documents ? [] : documents;
}

/** More than any sensible file is indented. */
const INDENT = " ".repeat(200);

/** Characters looked at before the search for lines to indent is given up. */
const MAX_WORK = 50_000_000;

/**
 * Indent the lines within brackets and quotes that aren't indented enough for the library, which the one of Litestream 0.3
 * takes as they are: blanks at the start of such a line mean nothing.
 *
 * @returns the text, and where in `text` the lines begin, in rising order
 */
function indentContinuations(text: string): { indented: string; lineStarts: number[] } {
  const lineStarts: number[] = [];
  let indented = text;
  for (let work = 0; work < MAX_WORK; work += indented.length) {
    const at = unindentedLine(indented);
    if (at === undefined) break;
    lineStarts.push(at - lineStarts.length * INDENT.length);
    indented = indented.slice(0, at) + INDENT + indented.slice(at);
  }
  return { indented, lineStarts };
}

/** Where the first line begins that ends a bracket or quotes too early. */
function unindentedLine(text: string): number | undefined {
  let at = 0;
  for (const token of new Lexer().lex(text)) {
    // Marks that the lexer adds stand for no character of the text.
    if (token === CST.FLOW_END) return lineStartAt(text, at);
    if (token === CST.DOCUMENT || token === CST.SCALAR || token === CST.BOM) continue;
    if (isCutShort(token)) {
      const lineEnd = text.indexOf("\n", at + token.length);
      return lineEnd < 0 || lineEnd + 1 === text.length ? undefined : lineStartAt(text, lineEnd + 1);
    }
    at += token.length;
  }
  return undefined;
}

/** The line of `at`, unless it is indented by us already. */
function lineStartAt(text: string, at: number): number | undefined {
  const start = text.lastIndexOf("\n", at - 1) + 1;
  return text.startsWith(INDENT, start) ? undefined : start;
}

/** Whether a quoted scalar ends without its quote. */
function isCutShort(token: string): boolean {
  const quote = token[0];
  if (quote !== '"' && quote !== "'") return false;
  if (token.length < 2 || !token.endsWith(quote)) return true;
  const escapes = quote === '"' ? /\\*$/.exec(token.slice(0, -1))![0].length : 0;
  return escapes % 2 === 1;
}

function offsetBefore(lineStarts: readonly number[], offset: number): number {
  let original = offset;
  for (const start of lineStarts) {
    if (original <= start) break;
    original = Math.max(start, original - INDENT.length);
  }
  return original;
}
