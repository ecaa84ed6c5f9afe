import assert from "node:assert/strict";
import { test } from "node:test";
import { IDENTITY, OTHER_IDENTITY, OTHER_RECIPIENT, RECIPIENT } from "./age_keys.ts";
import { parseIdentities, parseRecipients } from "../../src/config/age_keys.ts";

test("parseIdentities() takes one key a line", () => {
  assert.deepEqual(parseIdentities(IDENTITY), [IDENTITY]);
  const text = `# made today\n\n${IDENTITY}\r\n${OTHER_IDENTITY}\n`;
  assert.deepEqual(parseIdentities(text), [IDENTITY, OTHER_IDENTITY]);
});

test("parseRecipients() takes one key a line", () => {
  assert.deepEqual(parseRecipients(`${RECIPIENT}\n# other\n${OTHER_RECIPIENT}`), [
    RECIPIENT,
    OTHER_RECIPIENT,
  ]);
});

test("parseIdentities() says what is wrong in which line, and never shows the key", () => {
  const swapped = IDENTITY.replace("TZH", "ZTH");
  const cases: [string, RegExp][] = [
    ["", /^no secret keys found$/],
    ["# x\n\n", /^no secret keys found$/],
    ["foo", /^error at line 1: malformed secret key: it doesn't begin with AGE-SECRET-KEY-1$/],
    [`#\n${RECIPIENT}`, /^error at line 2: malformed secret key: it doesn't begin/],
    [`${IDENTITY}\n${swapped}`, /^error at line 2: malformed secret key: .*checksum is wrong$/],
    [IDENTITY.slice(0, -1), /^error at line 1: malformed secret key: 73 characters long, not 74$/],
    [`${IDENTITY} `, /^error at line 1: malformed secret key: a character that no key has$/],
    [IDENTITY.slice(0, 40) + IDENTITY.slice(40).toLowerCase(), /upper and lower case are mixed$/],
  ];
  for (const [text, expected] of cases) {
    assert.throws(() => parseIdentities(text), (error) => {
      assert.match((error as Error).message, expected);
      assert.doesNotMatch((error as Error).message, /TZHA2J|ZTHA2J|16d7ajw/i);
      return true;
    });
  }
});

test("parseRecipients() says what is wrong in which line", () => {
  const cases: [string, RegExp][] = [
    ["# x", /^no recipients found$/],
    ["\n# x\nage1foo", /^malformed recipient at line 3: /],
    [IDENTITY, /^malformed recipient at line 1: it doesn't begin with age1$/],
    [RECIPIENT.replace("6d7", "7d6"), /^malformed recipient at line 1: .*checksum is wrong$/],
    [RECIPIENT.toUpperCase(), /^malformed recipient at line 1: it doesn't begin with age1$/],
    ["ssh-ed25519 AAAA", /^malformed recipient at line 1/],
  ];
  for (const [text, expected] of cases) {
    assert.throws(() => parseRecipients(text), { message: expected }, text);
  }
});
