/** The rules that hold for the whole source tree, as pure functions from sources to breaches. */

/** Text of each file by its path from the repository's folder. */
export type Sources = ReadonlyMap<string, string>;

interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

const ANYTHING = "*";

/** What the files of one folder may import besides those of `src/*.ts` and their own folder. */
const ALLOWED: Readonly<
  Record<string, { folders: readonly string[]; types?: readonly string[]; files?: readonly string[] }>
> = {
  "": { folders: [] },
  "wal": { folders: [] },
  "codec": { folders: [] },
  "runtime": { folders: [] },
  "storage": { folders: ["runtime"] },
  "database": { folders: ["wal", "runtime"] },
  "restore": { folders: ["wal", "codec", "runtime", "storage"] },
  "verify": { folders: ["wal", "codec", "runtime", "storage", "restore"] },
  "replicate": { folders: ["wal", "database", "codec", "restore", "runtime", "storage"] },
  "config": {
    folders: ["runtime"],
    types: ["storage", "database", "replicate"],
    // Pure: a URL means the same in the file and on the command line.
    files: ["src/storage/replica_url.ts"],
  },
  // What a scraper is shown is judged elsewhere.
  "serve": { folders: ["runtime"], types: ["replicate"] },
  "cli": { folders: [ANYTHING] },
};

/** What of `storage/` is no backend. */
const STORAGE_CLIENT: readonly string[] = [
  "src/storage/keys.ts",
  "src/storage/object_store.ts",
  "src/storage/replica_client.ts",
];

/** Every breach of the direction of imports, of where `node:` may stand, and of one file for each package. */
export function importBreaches(sources: Sources, options: { dependencies: readonly string[] }): string[] {
  const breaches: string[] = [];
  const importersByPackage = new Map<string, string[]>();
  for (const [path, text] of sourcesIn(sources)) {
    for (const imported of importsOf(text)) {
      const { specifier } = imported;
      if (specifier.startsWith(".")) {
        const reason = directionBreach(path, imported);
        if (reason !== undefined) breaches.push(`${path}: imports ${specifier}: ${reason}`);
      } else if (specifier.startsWith("node:")) {
        if (folderOf(path) !== "runtime") breaches.push(`${path}: imports ${specifier} outside of runtime/`);
        else if (specifier === "node:sqlite" && path !== "src/runtime/sqlite.ts") {
          breaches.push(`${path}: imports ${specifier} outside of runtime/sqlite.ts`);
        }
      } else {
        const name = packageOf(specifier);
        if (!options.dependencies.includes(name)) {
          breaches.push(`${path}: imports ${specifier}, which is no dependency in package.json`);
        }
        importersByPackage.set(name, [...importersByPackage.get(name) ?? [], path]);
      }
    }
  }
  for (const [name, importers] of importersByPackage) {
    if (new Set(importers).size > 1) breaches.push(`${name} is imported by ${importers.join(" and ")}`);
  }
  return breaches;
}

function directionBreach(path: string, { specifier, isTypeOnly }: Import): string | undefined {
  const target = resolveImport(path, specifier);
  if (!target.startsWith("src/")) return "outside of src/";
  const from = folderOf(path);
  const to = folderOf(target);
  const allowed = ALLOWED[from];
  if (allowed === undefined) return `${from}/ has no rule`;
  if (to === "" || to === from || allowed.folders.includes(ANYTHING)) return undefined;
  if (allowed.files?.includes(target)) return undefined;
  if (isTypeOnly && allowed.types?.includes(to)) return undefined;
  if (!allowed.folders.includes(to)) {
    return `${from === "" ? "src/*.ts" : `${from}/`} may not import from ${to}/`;
  }
  if (to === "storage" && !isTypeOnly && !STORAGE_CLIENT.includes(target)) return "a backend";
  return undefined;
}

/** Cycles among the files of `src/*.ts`, each as the path that closes it. */
export function cycles(sources: Sources): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) {
      found.push([...trail.slice(trail.indexOf(path)), path].join(" → "));
      return;
    }
    if (done.has(path)) return;
    for (const { specifier } of importsOf(sources.get(path) ?? "")) {
      if (!specifier.startsWith(".")) continue;
      const target = resolveImport(path, specifier);
      if (folderOf(target) === "" && sources.has(target)) visit(target, [...trail, path]);
    }
    done.add(path);
  };
  for (const [path] of sourcesIn(sources)) if (folderOf(path) === "") visit(path, []);
  return found;
}

/** Files of src/ that write to the console. */
export function consoleUses(sources: Sources): string[] {
  return sourcesIn(sources).filter(([, text]) => /\bconsole\b\s*[.[?]/.test(withoutComments(text)))
    .map(([path]) => `${path}: uses console`);
}

// In pieces, so that this file doesn't name what it looks for.
const MACHINE_NAMES: readonly RegExp[] = [
  new RegExp(`(?<![\\w.~-])/(${["work", "root", "farm"].join("|")})/`),
  new RegExp(`\\b${"regis" + "try"}\\.[a-z0-9-]+\\.[a-z]`, "i"),
];

/** Lines of any file that name a folder of somebody's machine or the host of a package registry. */
export function machineNames(sources: Sources): string[] {
  const found: string[] = [];
  for (const [path, text] of sources) {
    text.split("\n").forEach((line, lineIndex) => {
      const match = MACHINE_NAMES.map((pattern) => pattern.exec(line)).find((match) => match !== null);
      if (match) found.push(`${path}:${lineIndex + 1}: names ${match[0]}`);
    });
  }
  return found;
}

function sourcesIn(sources: Sources): [string, string][] {
  return [...sources].filter(([path]) => path.startsWith("src/") && path.endsWith(".ts"));
}

/** `codec` of `src/codec/lz4/frame.ts`; empty for files directly in src/. */
function folderOf(path: string): string {
  return path.split("/").slice(1, -1)[0] ?? "";
}

function packageOf(specifier: string): string {
  return specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}

function resolveImport(path: string, specifier: string): string {
  return new URL(specifier, `file:///${path}`).pathname.slice(1);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*\*?[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
}

function importsOf(text: string): Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  for (
    const [, type, specifier] of code.matchAll(
      /\b(?:im|ex)port\s+(type\s)?[^;'"`()=]*?from\s*["']([^"']+)["']/g,
    )
  ) {
    found.push({ specifier: specifier!, isTypeOnly: type !== undefined });
  }
  for (const [, specifier] of code.matchAll(/\bimport\s*["']([^"']+)["']/g)) {
    found.push({ specifier: specifier!, isTypeOnly: false });
  }
  for (const [, specifier] of code.matchAll(/\bimport\s*\(\s*["'`]([^"'`]+)["'`]/g)) {
    found.push({ specifier: specifier!, isTypeOnly: false });
  }
  return found;
}
