/** What goes wrong while an object is read, in the name of the object. */
import { DamagedObjectError, describeError, EncryptionError } from "../errors.ts";

/** The store could not give an object's bytes, which says nothing against the object. */
export class FetchError extends Error {
  override readonly name = "FetchError";
}

/** Run `act`, a step of reading `object`; what goes wrong names it. */
export async function damagedBy<T>(object: { readonly key: string }, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw asDamage(object, error);
  }
}

/** `error` as one that names `object`; what the store says, and what names an object already, stays as it is. */
export function asDamage(object: { readonly key: string }, error: unknown): unknown {
  if (error instanceof DamagedObjectError || error instanceof FetchError) return error;
  // Other keys may read it, so it isn't damaged.
  if (error instanceof EncryptionError) return new EncryptionError(`${object.key}: ${error.message}`);
  return new DamagedObjectError(object.key, describeError(error), { cause: error });
}
