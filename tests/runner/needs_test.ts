import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { reaches } from "./needs.ts";

const tests = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

test("reaches() follows imports to a folder, over any number of files", () => {
  assert.ok(reaches(`${tests}/storage/s3/contract_test.ts`, `${tests}/servers`), "imports it itself");
  assert.ok(reaches(`${tests}/soak/soak_test.ts`, `${tests}/servers`), "by way of the campaign");
  assert.ok(!reaches(`${tests}/crc64_test.ts`, `${tests}/servers`));
});
