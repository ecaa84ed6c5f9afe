import assert from "node:assert/strict";
import { test } from "node:test";
import type { IndexEnd } from "../../src/position.ts";
import { checkSuccession } from "../../src/restore/succession.ts";
import { segmentKey } from "../../src/storage/keys.ts";

const generation = "00112233aabbccdd";

test("checkSuccession() takes the same end only, and names what is missing when more is stated", () => {
  const ended: IndexEnd = { index: 2, length: 1000, checksum: [1, 2], salts: [3, 4] };
  const key = segmentKey({ generation, index: 3, offset: 0 });
  const by = { key, size: 1, createdAt: new Date(0), generation, index: 3, offset: 0 };
  const refusal = (change: Partial<IndexEnd>) => {
    try {
      checkSuccession(ended, { stated: { ...ended, ...change }, by });
      return "";
    } catch (error) {
      return (error as Error).message;
    }
  };
  assert.equal(refusal({}), "");
  const missing = segmentKey({ generation, index: 2, offset: 1000 });
  assert.match(
    refusal({ length: 1001 }),
    new RegExp(`^${missing}: missing: index 00000002 ended at offset 1001`),
  );
  const others: Partial<IndexEnd>[] = [
    { index: 1 },
    { index: 1, length: 2000 },
    { length: 999 },
    { checksum: [1, 3] },
    { salts: [9, 4] },
  ];
  for (const change of others) {
    assert.match(refusal(change), new RegExp(`^${key}: it follows another index`), JSON.stringify(change));
  }
});
