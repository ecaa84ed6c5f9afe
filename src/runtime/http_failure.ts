/** What went wrong with a request that got no whole answer. */

/** `broken`: the connection was cut, at whichever moment. `no-name-service`: whether there is such a host isn't known. */
export type HttpFailureKind =
  | "no-such-host"
  | "no-name-service"
  | "refused"
  | "unreachable"
  | "untrusted"
  | "broken";

/** Said before anything of a request is sent, unlike the rest of what TLS may say. */
const CERTIFICATE_REFUSAL =
  /certificate|CERT_|_CERT|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER|ALTNAME|invalid peer|UnknownIssuer/;

/**
 * Deno gives no codes, only text; Bun gives codes. Ordered: the first that matches counts, since the text of a
 * TLS failure also says that the connection failed.
 */
const PATTERNS: readonly (readonly [RegExp, HttpFailureKind])[] = [
  [CERTIFICATE_REFUSAL, "untrusted"],
  [/corrupt message|InvalidContentType|WRONG_VERSION_NUMBER|wrong version number|ERR_SSL_/i, "untrusted"],
  [/EAI_AGAIN|temporary failure in name resolution/i, "no-name-service"],
  [/dns error|ENOTFOUND|EAI_NONAME|DNSException|name resolution/i, "no-such-host"],
  [/connection refused|ECONNREFUSED|ConnectionRefused|FailedToOpenSocket|ports? .* blocked/i, "refused"],
  [/unreachable|no route to host|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|timed out/i, "unreachable"],
];

/** The kind of a network failure; `broken` for what is not known. */
export function classifyHttpError(error: unknown): HttpFailureKind {
  const text = errorTexts(error).join(" ");
  return PATTERNS.find(([pattern]) => pattern.test(text))?.[1] ?? "broken";
}

/** Whether a server's certificate was refused: nothing was sent to it. */
export function isCertificateRefusal(error: unknown): boolean {
  return isNetworkError(error) && CERTIFICATE_REFUSAL.test(errorTexts(error).join(" "));
}

/** Whether `error` comes from the network and not from our own code. */
export function isNetworkError(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (typeof (error as { code?: unknown }).code === "string") return true;
  // fetch reports every failure of the network as a TypeError; so are our own mistakes, with other words.
  return error instanceof TypeError &&
    /fetch|request|connection|body|stream|socket|network|decod/i.test(errorTexts(error).join(" "));
}

/** Deno names what was asked for, where any word may stand. */
const URLS = /https?:\/\/\S+/g;

function errorTexts(error: unknown): string[] {
  const texts: string[] = [];
  let current = error;
  for (let depth = 0; current instanceof Error && depth < 5; depth++) {
    texts.push(String((current as { code?: unknown }).code ?? ""), current.message.replaceAll(URLS, ""));
    current = current.cause;
  }
  return texts;
}
