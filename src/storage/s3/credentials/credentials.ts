/** Keys that sign requests, and where they come from. */
import type { StoreOptions } from "../../object_store.ts";

/** A pair of keys. Never shown in a message or a log. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** With temporary keys. */
  readonly sessionToken?: string | undefined;
  /** When temporary keys end. */
  readonly expiresAt?: Date | undefined;
}

/** Whether both sign alike. */
export function areSameKeys(one: Credentials, other: Credentials): boolean {
  return one.accessKeyId === other.accessKeyId && one.secretAccessKey === other.secretAccessKey &&
    one.sessionToken === other.sessionToken;
}

/** Gives the keys to sign the next request with. */
export interface CredentialsProvider {
  /**
   * @throws {StoreError} when there are none, in one line that says where they were looked for
   */
  get(options?: StoreOptions): Promise<Credentials>;
  /** The server said that these are no longer good: get others next time, if there are others. */
  discard(credentials: Credentials): void;
}

/** One place where keys can be. */
export interface CredentialsSource {
  /** In words, for messages. */
  readonly name: string;
  /** `undefined` when this place has none; an error when it should have but doesn't. */
  load(options?: StoreOptions): Promise<Credentials | undefined>;
  /** What is there but can't be used, in words, when the last look found it. */
  readonly passedOver?: (() => string | undefined) | undefined;
}
