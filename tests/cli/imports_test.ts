import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const SRC = new URL("../../src/", import.meta.url);

/** The modules that are loaded with `entries`, those of lazy imports left out: paths from src/, packages, `node:` modules. */
function loadedWith(...entries: string[]): string[] {
  const seen = new Set<string>();
  const visit = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(new URL(path, SRC), "utf8");
    for (const [, names, specifier] of text.matchAll(/^(?:im|ex)port\s+([^;"]*?)\s*from\s+"([^"]+)";/gm)) {
      if (isTypeOnly(names!)) continue;
      if (specifier!.startsWith(".")) visit(new URL(specifier!, `file:///${path}`).pathname.slice(1));
      else seen.add(specifier!);
    }
  };
  entries.forEach(visit);
  return [...seen];
}

function isTypeOnly(names: string): boolean {
  if (names.startsWith("type ")) return true;
  const each = /^\{([^}]*)\}$/.exec(names)?.[1]?.split(",").map((name) => name.trim()).filter(Boolean);
  return each?.every((name) => name.startsWith("type ")) ?? false;
}

// Each module is time at every start, above all where the sources run as they are.
test("version loads a few modules, and none of the network", () => {
  const loaded = loadedWith("cli/main.ts", "cli/version.ts", "runtime/sqlite.ts");
  assert.ok(loaded.includes("cli/flags.ts"), "nothing was followed");
  const allowed = ["node:fs", "node:os", "node:path", "node:process", "node:sqlite"];
  assert.deepEqual(loaded.filter((name) => !name.endsWith(".ts")).sort(), allowed);
  assert.ok(loaded.length < 20, loaded.join(" "));
});

test("listings load nothing of what replicates and restores, and no library", () => {
  for (const name of ["generations", "snapshots", "wal"]) {
    const loaded = loadedWith("cli/main.ts", `cli/${name}.ts`, `cli/run_${name}.ts`);
    assert.ok(loaded.includes("storage/file_store.ts"), "nothing was followed");
    assert.deepEqual(
      loaded.filter((path) => /^(?:database|replicate|codec|wal|verify)\//.test(path)),
      [],
      name,
    );
    assert.deepEqual(loaded.filter((path) => !path.endsWith(".ts") && !path.startsWith("node:")), [], name);
  }
});

test("restore and verify load nothing of what replicates", () => {
  for (const name of ["restore", "verify"]) {
    const loaded = loadedWith("cli/main.ts", `cli/${name}.ts`, `cli/run_${name}.ts`);
    assert.deepEqual(loaded.filter((path) => /^(?:database|replicate)\//.test(path)), [], name);
  }
});

test("S3 loads none of the modules that bring streams and the network along: fetch() is there already", () => {
  const loaded = loadedWith("storage/s3/open.ts");
  assert.ok(loaded.includes("runtime/digests.ts"), "nothing was followed");
  const builtins = loaded.filter((name) => name.startsWith("node:")).sort();
  assert.deepEqual(builtins, ["node:fs", "node:os", "node:path", "node:process"]);
});

test("replicate loads what restores, serves and starts programs only when it does that", () => {
  const loaded = loadedWith("cli/main.ts", "cli/replicate.ts", "cli/run_replicate.ts");
  assert.ok(loaded.includes("replicate/validator.ts"), "nothing was followed");
  const lazy =
    /^(?:serve\/|restore\/restore\.ts|runtime\/child\.ts|runtime\/http|storage\/s3\/)|^(?!node:)[^.]*$/;
  assert.deepEqual(loaded.filter((path) => lazy.test(path)), []);
});
