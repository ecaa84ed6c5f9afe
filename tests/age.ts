/** The `age` program of Debian, the judge of what we encrypt, and its keys. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cipher } from "../src/cipher.ts";
import { type AgeKeys, createAgeCipher } from "../src/codec/age.ts";

/** An X25519 key, freshly made. */
export interface AgeKey {
  readonly identity: string;
  readonly recipient: string;
}

function run(program: string, args: readonly string[]): Uint8Array {
  const options = { maxBuffer: 64 << 20, timeout: 60_000 };
  const { error, status, stdout, stderr } = spawnSync(program, args, options);
  if (error !== undefined) {
    throw new Error(`cannot run ${program}; these tests need it: apt-get install age`, { cause: error });
  }
  if (status !== 0) throw new Error(`${program} exited with ${status}: ${stderr}`);
  return new Uint8Array(stdout);
}

/** What `age-keygen` makes. */
export function makeAgeKey(): AgeKey {
  const text = new TextDecoder().decode(run("age-keygen", []));
  const identity = /^AGE-SECRET-KEY-1\w+$/m.exec(text)?.[0];
  const recipient = /^# public key: (age1\w+)$/m.exec(text)?.[1];
  if (identity === undefined || recipient === undefined) throw new Error("age-keygen printed no key");
  return { identity, recipient };
}

/** `age` on `input`, through files: Deno's spawnSync hangs when more than a pipe holds goes in and comes out. */
function age(input: Uint8Array, argsIn: (folder: string) => readonly string[]): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "walbrook-age-"));
  try {
    const inputPath = join(folder, "input");
    writeFileSync(inputPath, input);
    return run("age", [...argsIn(folder), inputPath]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** `age --decrypt`. @throws {Error} with what it printed when it refuses */
export function ageDecrypt(stored: Uint8Array, { identity }: { identity: string }): Uint8Array {
  return age(stored, (folder) => {
    const path = join(folder, "identity");
    writeFileSync(path, identity + "\n", { mode: 0o600 });
    return ["--decrypt", "--identity", path];
  });
}

/** `age --encrypt` for each of `recipients`. */
export function ageEncrypt(plain: Uint8Array, { recipients }: { recipients: readonly string[] }): Uint8Array {
  return age(plain, () => ["--encrypt", ...recipients.flatMap((recipient) => ["--recipient", recipient])]);
}

/** The cipher of at least one key. */
export function cipherOf(keys: AgeKeys): Cipher {
  const cipher = createAgeCipher(keys);
  if (cipher === undefined) throw new Error("no keys");
  return cipher;
}

/** The cipher that writes for `keys` and reads with them. */
export function cipherFor(...keys: readonly AgeKey[]): Cipher {
  return cipherOf({
    recipients: keys.map(({ recipient }) => recipient),
    identities: keys.map(({ identity }) => identity),
  });
}
