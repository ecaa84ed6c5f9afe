/**
 * The two keys of an account: what they are called in each place, and how a place that has one of them only gets the
 * other one. Never are keys of two accounts made a pair.
 */
import { UsageError } from "./errors.ts";

/** Both keys. */
export interface KeyPair {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What a place has of a pair; an empty text is as good as none. */
export type PartOfPair = { readonly [Key in keyof KeyPair]?: string | undefined };

/** A variable of the environment by its name. */
export type VariableLookup = (name: string) => string | undefined;

/** What the two are called in a configuration file. */
export const CONFIGURED_NAMES: KeyPair = {
  accessKeyId: "access-key-id",
  secretAccessKey: "secret-access-key",
};

const LITESTREAM_NAMES: KeyPair = {
  accessKeyId: "LITESTREAM_ACCESS_KEY_ID",
  secretAccessKey: "LITESTREAM_SECRET_ACCESS_KEY",
};

const AWS_NAMES: KeyPair = {
  accessKeyId: "AWS_ACCESS_KEY_ID",
  secretAccessKey: "AWS_SECRET_ACCESS_KEY",
};

/** AWS's keys of the environment, also by their older names. */
export function awsKeys(lookup: VariableLookup): PartOfPair {
  return {
    accessKeyId: lookup(AWS_NAMES.accessKeyId) || lookup("AWS_ACCESS_KEY"),
    secretAccessKey: lookup(AWS_NAMES.secretAccessKey) || lookup("AWS_SECRET_KEY"),
  };
}

function litestreamKeys(lookup: VariableLookup): PartOfPair {
  return {
    accessKeyId: lookup(LITESTREAM_NAMES.accessKeyId),
    secretAccessKey: lookup(LITESTREAM_NAMES.secretAccessKey),
  };
}

/**
 * The pair of the environment: `LITESTREAM_…` first, then `AWS_…`; `undefined` where there is nothing of either.
 *
 * @throws {UsageError} as `wholePair()`
 */
export function environmentPair(lookup: VariableLookup): KeyPair | undefined {
  return wholePair(litestreamKeys(lookup), { names: LITESTREAM_NAMES, lookup }) ??
    wholePair(awsKeys(lookup), { names: AWS_NAMES, lookup });
}

/**
 * The pair of which a place has `part`; `undefined` for none. What is missing is taken from the environment where it
 * stands alone there, or beside the very key that `part` has: beside another one it is of another account.
 *
 * @param names what the keys are called in that place
 * @throws {UsageError} for half of a pair; names the place and what is missing
 */
export function wholePair(
  part: PartOfPair,
  { names, lookup }: { names: KeyPair; lookup: VariableLookup },
): KeyPair | undefined {
  const { accessKeyId, secretAccessKey } = part;
  if (accessKeyId && secretAccessKey) return { accessKeyId, secretAccessKey };
  if (!accessKeyId && !secretAccessKey) return undefined;
  const [present, missing] = accessKeyId
    ? ["accessKeyId", "secretAccessKey"] as const
    : ["secretAccessKey", "accessKeyId"] as const;
  const others = [
    { names: LITESTREAM_NAMES, keys: litestreamKeys(lookup) },
    { names: AWS_NAMES, keys: awsKeys(lookup) },
  ].filter(({ keys }) => keys[missing]);
  const found = others.find(({ keys }) => keys[present] === part[present]) ??
    others.find(({ keys }) => !keys[present]);
  if (found !== undefined) return { ...part, [missing]: found.keys[missing] } as KeyPair;
  const half = `${names[present]} is set but ${names[missing]} is not`;
  const [other] = others;
  if (other !== undefined) {
    const taken = `${other.names[missing]} goes with another ${other.names[present]}`;
    throw new UsageError(`${half}, and ${taken}: set both`);
  }
  const elsewhere = names === AWS_NAMES ? "" : `, or ${AWS_NAMES[missing]} in the environment`;
  throw new UsageError(`${half}: set both${elsewhere}`);
}
