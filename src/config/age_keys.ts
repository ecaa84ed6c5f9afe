/** The keys of `age.identities` and `age.recipients`: one a line, blank lines and `#` lines passed over. */

const CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

/**
 * The X25519 identities in `text`, `AGE-SECRET-KEY-1…` each. No message of an error shows a key.
 *
 * @throws {Error} with age's text, which counts the lines of `text` from 1
 */
export function parseIdentities(text: string): string[] {
  const identities = keyLines(text).map(({ line, lineNumber }) => {
    const problem = bech32Problem(line, "AGE-SECRET-KEY-");
    if (problem === undefined) return line;
    throw new Error(`error at line ${lineNumber}: malformed secret key: ${problem}`);
  });
  if (identities.length === 0) throw new Error("no secret keys found");
  return identities;
}

/**
 * The X25519 recipients in `text`, `age1…` each.
 *
 * @throws {Error} with age's text, which counts the lines of `text` from 1
 */
export function parseRecipients(text: string): string[] {
  const recipients = keyLines(text).map(({ line, lineNumber }) => {
    const problem = bech32Problem(line, "age");
    if (problem === undefined) return line;
    throw new Error(`malformed recipient at line ${lineNumber}: ${problem}`);
  });
  if (recipients.length === 0) throw new Error("no recipients found");
  return recipients;
}

function keyLines(text: string): { line: string; lineNumber: number }[] {
  return text.split(/\r?\n/).map((line, lineIndex) => ({ line, lineNumber: lineIndex + 1 }))
    .filter(({ line }) => line !== "" && !line.startsWith("#"));
}

/** What is wrong with the Bech32 text of a 32-byte key (BIP 173, without its limit of length). */
function bech32Problem(text: string, prefix: string): string | undefined {
  if (!text.startsWith(`${prefix}1`)) return `it doesn't begin with ${prefix}1`;
  const isUpperCase = prefix === prefix.toUpperCase();
  if (text !== (isUpperCase ? text.toUpperCase() : text.toLowerCase())) {
    return "upper and lower case are mixed";
  }
  const values = Array.from(text.slice(prefix.length + 1).toLowerCase(), (mark) => CHARACTERS.indexOf(mark));
  if (values.includes(-1)) return "a character that no key has";
  // 32 bytes in groups of five bits, and six groups of checksum.
  if (values.length !== 52 + 6) {
    return `${values.length + prefix.length + 1} characters long, not ${prefix.length + 59}`;
  }
  const codes = Array.from(prefix.toLowerCase(), (mark) => mark.charCodeAt(0));
  const header = [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
  if (checksum([...header, ...values]) !== 1) return "a typing mistake in it, the checksum is wrong";
  return (values[51]! & 0b1111) === 0 ? undefined : "non-zero padding";
}

function checksum(values: readonly number[]): number {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = (sum & 0x1ffffff) << 5 ^ value;
    for (let bit = 0; bit < 5; bit++) if ((top >>> bit & 1) === 1) sum ^= GENERATOR[bit]!;
  }
  return sum >>> 0;
}
