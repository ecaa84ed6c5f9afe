import assert from "node:assert/strict";
import { test } from "node:test";
import { CONFIGURED_NAMES, environmentPair, type PartOfPair, wholePair } from "../src/key_pair.ts";

type Variables = Readonly<Record<string, string>>;

const OWN_ID = { LITESTREAM_ACCESS_KEY_ID: "id-own" };
const OWN_SECRET = { LITESTREAM_SECRET_ACCESS_KEY: "secret-own" };
const AWS_ID = { AWS_ACCESS_KEY_ID: "id-aws" };
const AWS_SECRET = { AWS_SECRET_ACCESS_KEY: "secret-aws" };

/** `id secret` of what `read` gives, or its refusal. */
function pairOrRefusal(read: () => PartOfPair | undefined): string | undefined {
  try {
    const pair = read();
    return pair && `${pair.accessKeyId} ${pair.secretAccessKey}`;
  } catch (error) {
    assert.ok(error instanceof Error && error.name === "UsageError", String(error));
    return error.message;
  }
}

test("environmentPair() takes a pair of one account, or refuses half of one", () => {
  const cases: [Variables, string | undefined][] = [
    [{}, undefined],
    [{ AWS_ACCESS_KEY_ID: "", LITESTREAM_SECRET_ACCESS_KEY: "" }, undefined],
    [{ ...OWN_ID, ...OWN_SECRET, ...AWS_ID, ...AWS_SECRET }, "id-own secret-own"],
    [{ ...AWS_ID, ...AWS_SECRET, LITESTREAM_ACCESS_KEY_ID: "" }, "id-aws secret-aws"],
    [{ AWS_ACCESS_KEY: "id-old", AWS_SECRET_KEY: "secret-old" }, "id-old secret-old"],
    // As Litestream has it: each of its own stands in for the one of AWS that isn't there.
    [{ ...OWN_ID, ...AWS_SECRET }, "id-own secret-aws"],
    [{ ...OWN_SECRET, ...AWS_ID, AWS_SECRET_ACCESS_KEY: "" }, "id-aws secret-own"],
    [{ ...OWN_ID, ...AWS_SECRET, AWS_ACCESS_KEY_ID: "id-own" }, "id-own secret-aws"],
    [
      { ...OWN_ID, ...AWS_ID, ...AWS_SECRET },
      "LITESTREAM_ACCESS_KEY_ID is set but LITESTREAM_SECRET_ACCESS_KEY is not, and AWS_SECRET_ACCESS_KEY " +
      "goes with another AWS_ACCESS_KEY_ID: set both",
    ],
    [
      { ...OWN_SECRET, AWS_ACCESS_KEY: "id-old", AWS_SECRET_KEY: "secret-old" },
      "LITESTREAM_SECRET_ACCESS_KEY is set but LITESTREAM_ACCESS_KEY_ID is not, and AWS_ACCESS_KEY_ID " +
      "goes with another AWS_SECRET_ACCESS_KEY: set both",
    ],
    [
      { ...OWN_ID, AWS_SECRET_ACCESS_KEY: "" },
      "LITESTREAM_ACCESS_KEY_ID is set but LITESTREAM_SECRET_ACCESS_KEY is not: set both, or " +
      "AWS_SECRET_ACCESS_KEY in the environment",
    ],
    [AWS_ID, "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not: set both"],
    [AWS_SECRET, "AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not: set both"],
  ];
  for (const [variables, expected] of cases) {
    const found = pairOrRefusal(() => environmentPair((name) => variables[name]));
    assert.equal(found, expected, JSON.stringify(variables));
  }
});

test("wholePair() takes from the environment what stands there alone, or beside the very same key", () => {
  const another = (place: string) =>
    `access-key-id is set but secret-access-key is not, and ${place}_SECRET_ACCESS_KEY goes with another ` +
    `${place}_ACCESS_KEY_ID: set both`;
  const cases: [PartOfPair, Variables, string | undefined][] = [
    [{}, AWS_SECRET, undefined],
    [{ accessKeyId: "id", secretAccessKey: "secret" }, { ...OWN_ID, ...OWN_SECRET }, "id secret"],
    [{ accessKeyId: "id" }, AWS_SECRET, "id secret-aws"],
    [{ accessKeyId: "id" }, { ...AWS_SECRET, ...OWN_SECRET }, "id secret-own"],
    [{ accessKeyId: "id" }, { ...OWN_SECRET, AWS_SECRET_ACCESS_KEY: "" }, "id secret-own"],
    [{ accessKeyId: "id", secretAccessKey: "" }, OWN_SECRET, "id secret-own"],
    [{ accessKeyId: "id-aws" }, { ...OWN_ID, ...OWN_SECRET, ...AWS_ID, ...AWS_SECRET }, "id-aws secret-aws"],
    [{ accessKeyId: "id" }, { ...OWN_ID, ...OWN_SECRET, ...AWS_SECRET }, "id secret-aws"],
    [{ secretAccessKey: "secret" }, OWN_ID, "id-own secret"],
    [{ accessKeyId: "id" }, { ...AWS_ID, ...AWS_SECRET }, another("AWS")],
    [{ accessKeyId: "id" }, { ...OWN_ID, ...OWN_SECRET }, another("LITESTREAM")],
    [
      { secretAccessKey: "secret" },
      { AWS_ACCESS_KEY_ID: "" },
      "secret-access-key is set but access-key-id is not: set both, or AWS_ACCESS_KEY_ID in the environment",
    ],
  ];
  for (const [part, variables, expected] of cases) {
    const found = pairOrRefusal(() =>
      wholePair(part, { names: CONFIGURED_NAMES, lookup: (name) => variables[name] })
    );
    assert.equal(found, expected, JSON.stringify([part, variables]));
  }
});
