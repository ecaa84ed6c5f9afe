/** Brings the tables of docs/CONFIG.md up to date: `deno run -A tests/config/write_key_tables.ts`, then `deno fmt`. */
import { readFileSync, writeFileSync } from "node:fs";
import { documentParts, marksOf } from "./key_tables.ts";

const document = new URL("../../docs/CONFIG.md", import.meta.url);
let text = readFileSync(document, "utf8");
for (const { name, text: part } of documentParts()) {
  const { begin, end } = marksOf(name);
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`docs/CONFIG.md lacks the marks of ${name}`);
  text = `${text.slice(0, from)}${begin}\n\n${part}\n\n${text.slice(to)}`;
}
writeFileSync(document, text);
