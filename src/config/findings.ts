/** Gathers findings while a file is read, and turns offsets into lines and columns of the file as it was written. */
import { type Finding, type FindingKind, type Location } from "./finding.ts";
import type { ExpandedText } from "./expand_environment.ts";

/** Stops the building of one part of the configuration; what is wrong with it is the message. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  /** @param offset into the expanded text */
  constructor(readonly offset: number, message: string) {
    super(message);
  }
}

/** More warnings, and more errors, than anybody reads; a file of nonsense must not make a million. */
const MAX_FINDINGS = 1000;

/** Variables that aren't set which an error names. */
const MAX_NAMED = 3;

/** The findings of one file. */
export class Findings {
  readonly #file: string;
  readonly #original: string;
  readonly #expanded: ExpandedText;
  readonly #lineStarts: number[] = [0];
  readonly #locations = new Map<number, Location>();
  #errorCount = 0;
  #warningCount = 0;
  /** What is said of variables that aren't set, by their line. */
  readonly #unsetByLine = new Map<number, string[]>();
  readonly #found = new Map<string, Finding & { readonly offset: number }>();

  constructor({ file, original, expanded }: { file: string; original: string; expanded: ExpandedText }) {
    this.#file = file;
    this.#original = original;
    this.#expanded = expanded;
    for (let at = original.indexOf("\n"); at >= 0; at = original.indexOf("\n", at + 1)) {
      this.#lineStarts.push(at + 1);
    }
  }

  /** Note something about the place at `offset` of the expanded text; the same twice is once. */
  add(kind: FindingKind, offset: number, message: string): void {
    this.#addOriginal(kind, this.#expanded.originalOffset(offset), message);
  }

  /** Whether no more warnings are taken, so that nobody needs to think of one. */
  get isFull(): boolean {
    return this.#warningCount >= MAX_FINDINGS;
  }

  /** Note each variable that isn't set, except in comments. Errors of the same line then name it: it may be why. */
  addUnsetVariables(): void {
    for (const { name, offset } of this.#expanded.unset) {
      if (this.isFull) return;
      if (this.#isComment(offset)) continue;
      const isVariable = /^\w{2,}$|^[A-Za-z_]$/.test(name);
      const what = isVariable
        ? `environment variable ${name} is not set`
        : `$${name.length === 1 ? name : "{…}"} names no variable`;
      const more = isVariable ? "" : " (there is no escape for $; -no-expand-env turns variables off)";
      this.#addOriginal("unset-variable", offset, `${what}: nothing stands for it${more}`);
      this.#noteUnset(what, offset);
    }
  }

  /** Carry out `build`; a refusal becomes a finding and `undefined`. */
  try<T>(build: () => T): T | undefined {
    try {
      return build();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.add("wrong", error.offset, error.message);
      return undefined;
    }
  }

  /** Line and column in the file of `offset` of the expanded text. */
  locationOf(offset: number): Location {
    return this.#locationOfOriginal(this.#expanded.originalOffset(offset));
  }

  /** All findings in the order of their places. */
  list(): Finding[] {
    return [...this.#found.values()].sort((one, other) => one.offset - other.offset)
      .map(({ offset: _, ...finding }) => this.#withUnset(finding));
  }

  #noteUnset(what: string, offset: number): void {
    const { line } = this.#locationOfOriginal(offset);
    const known = this.#unsetByLine.get(line) ?? [];
    if (known.length < MAX_NAMED && !known.includes(what)) this.#unsetByLine.set(line, [...known, what]);
  }

  #withUnset(finding: Finding): Finding {
    const unset = finding.kind === "wrong" ? this.#unsetByLine.get(finding.line) : undefined;
    return unset === undefined
      ? finding
      : { ...finding, message: `${finding.message} (${unset.join(", ")})` };
  }

  #addOriginal(kind: FindingKind, offset: number, message: string): void {
    const isError = kind === "wrong";
    if ((isError ? this.#errorCount : this.#warningCount) >= MAX_FINDINGS) return;
    const key = `${offset} ${message}`;
    if (this.#found.has(key)) return;
    if (isError) this.#errorCount++;
    else this.#warningCount++;
    const finding = { kind, file: this.#file, ...this.#locationOfOriginal(offset), message, offset };
    this.#found.set(key, finding);
  }

  #locationOfOriginal(offset: number): Location {
    const known = this.#locations.get(offset);
    if (known !== undefined) return known;
    let low = 0;
    let high = this.#lineStarts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#lineStarts[middle]! <= offset) low = middle + 1;
      else high = middle;
    }
    const start = this.#lineStarts[low - 1]!;
    const location = { line: low, column: Array.from(this.#original.slice(start, offset)).length + 1 };
    this.#locations.set(offset, location);
    return location;
  }

  /** By the look of the line: a `#` at its start or behind a blank, before `offset`. */
  #isComment(offset: number): boolean {
    const start = this.#original.lastIndexOf("\n", offset) + 1;
    return /(?:^|\s)#/.test(this.#original.slice(start, offset));
  }
}
