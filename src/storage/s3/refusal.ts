/** What an answer says that is not the one hoped for, as far as it can be believed. */
import { type ErrorDocument, isCutDocument, parseErrorDocument } from "./answers.ts";
import type { Exchange } from "./exchange.ts";
import { reactTo, readRefusal, type RefusedRequest } from "./failure.ts";

/** A refusal of which only the status came. */
export class LostRefusalError extends Error {}

/** What is known of the request and of the server. */
export interface RefusalOptions {
  readonly method: string;
  /** Whether an object is to be deleted. */
  readonly isDeletion: boolean;
  /** Whether a status is believed although what came with it was lost. */
  readonly mayBeLost: boolean;
  /** Whether the server has answered before with what was asked for. */
  readonly isKnown: boolean;
}

/**
 * Read a refusal to its end.
 *
 * @throws {LostRefusalError} when only the status came, and the rest may say something else
 * @throws {Error} when it isn't the server's, most likely
 */
export async function receiveRefusal(
  exchange: Exchange,
  { method, isDeletion, mayBeLost, isKnown }: RefusalOptions,
): Promise<RefusedRequest> {
  const body = method === "HEAD" ? "" : await exchange.text().catch((error: unknown) => ({ error }));
  const document = typeof body === "string" ? parseErrorDocument(body) : undefined;
  const refused = refusalOf(exchange, document);
  const { status } = refused;
  // What a status means by itself holds without its body. Of others the code decides, which may say "again".
  if (reactTo(refused).act !== "fail") return refused;
  if (typeof body !== "string" || isCutDocument(body)) {
    if (mayBeLost) return refused;
    const cause = typeof body === "string" ? undefined : body.error;
    throw new LostRefusalError(`status ${status}, and why was lost on the way`, { cause });
  }
  // While a server starts again, a proxy before it may know of no such place. Of an object that is to go that is as good.
  const isForeign = status === 404 && document === undefined && body.trim() !== "";
  if (isForeign && isKnown && !isDeletion) {
    throw new Error("status 404 from something on the way, and not in the words of an S3 server");
  }
  return refused;
}

/** A refusal in plain values, by the head of its answer and the document that came. */
export function refusalOf({ response }: Exchange, document: ErrorDocument | undefined): RefusedRequest {
  return readRefusal({ status: response.status, headers: response.headers, document }, { now: Date.now() });
}
