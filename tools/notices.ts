/** The licences of what goes into an executable, as one text. */
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";

/** What an executable runs on. */
export type Runtime = "bun" | "deno";

/** What `collectNotices()` takes. */
export interface NoticesOptions {
  /** The folder of the repository, with node_modules installed. */
  readonly root: string;
  readonly runtime: Runtime;
  /** Direct dependencies; what these depend on follows. */
  readonly packages: readonly string[];
}

interface Manifest {
  readonly version?: string;
  readonly license?: string;
  readonly dependencies?: Record<string, string>;
}

/** Its pieces for the compiled LZ4 kernel are inside the WASM. */
const COMPILED_IN: readonly string[] = ["assemblyscript"];

const RULE = "=".repeat(100);

/**
 * walbrook's own licence, the runtime's, and those of all packages.
 *
 * @throws {Error} for a package that isn't installed or has no licence text
 */
export function collectNotices({ root, runtime, packages }: NoticesOptions): string {
  const ours = (name: string) => readFileSync(join(root, "packaging/licences", name), "utf8");
  const texts = runtime === "bun" ? ["bun", "mit", "LGPL-2", "LGPL-2.1"] : ["deno", "mit"];
  const sections = [
    section("walbrook", readFileSync(join(root, "LICENSE"), "utf8")),
    section(
      `the runtime: ${runtime === "bun" ? "Bun" : "Deno"}`,
      texts.map((name) => ours(`${name}.txt`)).join("\n\n"),
    ),
  ];
  for (const [title, text] of packageNotices(root, packages)) sections.push(section(title, text));
  return sections.join("\n");
}

function section(title: string, text: string): string {
  return `${RULE}\n${title}\n${RULE}\n\n${text.trim()}\n`;
}

/** Title and text for each package, sorted by name; one that several depend on comes once. */
function packageNotices(root: string, packages: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (name: string, from: string, withDependencies: boolean): void => {
    const folder = packageFolder(name, from);
    const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
    const title = `${name} ${manifest.version} (${manifest.license ?? "no licence named"})`;
    if (found.has(title)) return;
    found.set(title, licenceText(name, { folder, root }));
    if (!withDependencies) return;
    for (const dependency of Object.keys(manifest.dependencies ?? {})) visit(dependency, folder, true);
  };
  for (const name of packages) visit(name, root, true);
  // The compiler's own dependencies stay outside.
  for (const name of COMPILED_IN) visit(name, root, false);
  return new Map([...found].sort(([left], [right]) => left < right ? -1 : 1));
}

/** As Node.js looks packages up, from the real folder of who asks. */
function packageFolder(name: string, from: string): string {
  for (let at = realpathSync(from);; at = dirname(at)) {
    const folder = join(at, "node_modules", name);
    if (existsSync(join(folder, "package.json"))) return realpathSync(folder);
    if (dirname(at) === at) throw new Error(`${name}: not in node_modules: run "deno install" first`);
  }
}

/** The licence files of a package, or the one that we keep for it. */
function licenceText(name: string, { folder, root }: { folder: string; root: string }): string {
  const names = readdirSync(folder).filter((entry) => /^(licen[cs]e|copying|notice)(\.|-|$)/i.test(entry))
    .sort();
  const texts = names.map((entry) => readFileSync(join(folder, entry), "utf8").trim());
  if (texts.length > 0) return texts.join("\n\n");
  const kept = join(root, "packaging/licences", `${name.replaceAll("/", "+")}.txt`);
  if (existsSync(kept)) return readFileSync(kept, "utf8");
  throw new Error(`${name}: no licence file in the package: put its text into packaging/licences/`);
}
