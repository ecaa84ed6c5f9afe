/** The tables of docs/CONFIG.md, made from the code. */
import { foreignKeys } from "../../src/config/foreign_keys.ts";
import { type KeyFact, type KeyKind, KEYS, type Section } from "../../src/config/keys.ts";
import { formatGoDuration } from "../../src/duration.ts";

const KINDS: Readonly<Record<KeyKind, string>> = {
  text: "text",
  flag: "true/false",
  count: "number",
  duration: "duration",
  size: "size",
  rate: "bytes a second",
  texts: "list of texts",
  section: "mapping",
  sections: "list",
};

/** A marked part of the document: its name and what stands between its marks. */
export interface DocumentPart {
  readonly name: string;
  readonly text: string;
}

/** Every part that the code decides. */
export function documentParts(): DocumentPart[] {
  const sections: readonly Section[] = ["top", "logging", "database", "replica", "age"];
  return [
    ...sections.map((section) => ({ name: `keys of ${section}`, text: keyTable(section) })),
    { name: "keys of other versions", text: foreignTable() },
  ];
}

function keyTable(section: Section): string {
  const facts = KEYS.filter((fact) => fact.section === section);
  const hasTypes = facts.some(({ types }) => types !== undefined);
  return table(
    ["Key", ...hasTypes ? ["Replica types"] : [], "Value", "Default", "Meaning"],
    facts.map((fact) => [
      `\`${fact.key}\`${fact.since === "walbrook" ? " ¹" : ""}`,
      ...hasTypes ? [fact.types?.join(", ") ?? "all"] : [],
      KINDS[fact.kind],
      defaultOf(fact),
      fact.meaning,
    ]),
  );
}

function defaultOf({ default: standard, defaultText, kind }: KeyFact): string {
  if (standard === undefined || defaultText !== undefined) return defaultText ?? "none";
  if (kind !== "duration" || typeof standard !== "number") return `\`${standard}\``;
  const text = formatGoDuration(standard).replace(/(?<=[a-z])0s$/, "").replace(/(?<=[a-z])0m$/, "");
  return `\`${standard === 0 ? "0" : text}\``;
}

function foreignTable(): string {
  return table(
    ["Key", "What to do"],
    foreignKeys().map(({ keys, instead }) => [keys.map((key) => `\`${key}\``).join(", "), instead]),
  );
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return [header, header.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** The marks around the part `name`. */
export function marksOf(name: string): { readonly begin: string; readonly end: string } {
  return {
    begin: `<!-- ${name}: written by tests/config/write_key_tables.ts -->`,
    end: `<!-- end of ${name} -->`,
  };
}
