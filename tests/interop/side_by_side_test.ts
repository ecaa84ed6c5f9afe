/**
 * Listings, flags and failures of Litestream 0.3.13 and of walbrook, given the same words and the same replicas. What
 * differs stands in docs/DIFFERENCES.md, and a case names its id; a difference without one fails.
 */
import { after, test } from "node:test";
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../doubles/temporary_folder.ts";
import { differenceIds } from "./differences.ts";
import { type Ground, prepareGround } from "./side_by_side_ground.ts";
import { SIDE_BY_SIDE, type SideBySide } from "./side_by_side_cases.ts";
import { bothShow, type Facet, FACETS } from "./two_programs.ts";

const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());

let preparing: Promise<Ground> | undefined;
let runCount = 0;

async function differencesOf(one: SideBySide): Promise<Partial<Record<Facet, unknown[]>>> {
  const ground = await (preparing ??= prepareGround(folder.path));
  const own = join(folder.path, `run-${runCount++}`);
  mkdirSync(own);
  const { litestream, walbrook } = await bothShow({
    args: one.args(ground),
    env: one.env?.(ground),
    existing: one.existing,
    folder: own,
  });
  const found: Partial<Record<Facet, unknown[]>> = {};
  const clean = one.clean ?? ((text: string) => text);
  for (const facet of FACETS) {
    const pair = [litestream, walbrook].map((showing) =>
      facet === "output" ? clean(showing.output) : showing[facet]
    );
    try {
      assert.deepEqual(pair[1], pair[0]);
    } catch {
      found[facet] = pair;
    }
  }
  return found;
}

for (const one of SIDE_BY_SIDE) {
  test(`side by side: ${one.name}`, async () => {
    const found = await differencesOf(one);
    const { differs = {} } = one;
    const ids = differenceIds();
    for (const facet of FACETS) {
      const id = differs[facet];
      const shown = JSON.stringify(found[facet]);
      if (id === undefined) {
        assert.equal(
          shown,
          undefined,
          `${facet} differs, and no id of docs/DIFFERENCES.md says so: ${shown}`,
        );
      } else {
        assert.ok(ids.includes(id), `docs/DIFFERENCES.md has no ${id}, for ${facet}: ${shown}`);
        assert.ok(facet in found, `${facet} does not differ, although ${id} says so`);
      }
    }
  });
}

test("side by side: docs/DIFFERENCES.md lists each id once, and each that a command line shows has a case", () => {
  const ids = differenceIds();
  assert.deepEqual(ids, [...new Set(ids)]);
  const used = new Set(SIDE_BY_SIDE.flatMap(({ differs = {} }) => Object.values(differs)));
  assert.deepEqual(differenceIds({ isSeen: true }).filter((id) => !used.has(id)), []);
});
