/**
 * Replica URLs as the configuration and the command line write them. Not WHATWG URLs: hosts are taken as
 * written, and a `file` URL keeps its percent-encoding in the folder's name, since replicas made so are there.
 */
import { UsageError } from "../errors.ts";

/** A replica in a folder. */
export interface FileReplicaUrl {
  readonly type: "file";
  /** As the URL gives it: relative paths and `~` are the caller's to expand. */
  readonly path: string;
}

/** A replica at a server. */
export interface RemoteReplicaUrl {
  readonly type: RemoteReplicaType;
  /** As written, with its port. */
  readonly host: string;
  /** Decoded and cleaned, without a slash at either end; may be empty. */
  readonly path: string;
  /** Decoded only: what sftp uses, with its leading slash. */
  readonly uncleanPath: string;
  /** Decoded; absent where the URL has none. */
  readonly user?: string;
  readonly password?: string;
}

/** A parsed replica URL. */
export type ReplicaUrl = FileReplicaUrl | RemoteReplicaUrl;

/** The types of the format that are no folders. */
export type RemoteReplicaType = "s3" | "gcs" | "abs" | "sftp";

const REMOTE_TYPES: readonly RemoteReplicaType[] = ["s3", "gcs", "abs", "sftp"];

/** Whether `text` can't be a plain path: `s3://…`, `file://…`. */
export function isReplicaUrl(text: string): boolean {
  return /^\w+:\/\//.test(text);
}

/** `url` without user and password, as far as they can go: up to the last `@`, for a password may hold anything. */
export function withoutCredentials(url: string): string {
  return url.replace(/^([\w+.-]+:\/\/)?.*@/s, "$1");
}

/**
 * Parse a plain path, a `file:` URL or the URL of a server.
 *
 * @throws {UsageError} for an empty path, an unknown scheme or a URL that can't be read; never shows a password
 */
export function parseReplicaUrl(text: string): ReplicaUrl {
  if (text === "") throw new UsageError("replica path required: give a folder, for example /backup/app");
  if (/^file:/i.test(text)) return parseFileUrl(text);
  if (!isReplicaUrl(text)) return { type: "file", path: text };
  const scheme = text.slice(0, text.indexOf(":")).toLowerCase();
  const type = REMOTE_TYPES.find((known) => known === scheme);
  if (type === undefined) {
    throw new UsageError(
      `unknown replica type "${scheme}" in ${withoutCredentials(text)}; ${SUPPORTED}`,
    );
  }
  return parseRemoteUrl(text, type);
}

/** A replica in S3 or a look-alike. */
export type S3ReplicaUrl = RemoteReplicaUrl & { readonly type: "s3" };

/** What this version can replicate to. */
export type SupportedReplicaUrl = FileReplicaUrl | S3ReplicaUrl;

const SUPPORTED = "this version replicates to a folder and to S3: give a path, a file:// or an s3:// URL";

/**
 * Parse the URL of a replica that this version can work with.
 *
 * @throws {UsageError} as `parseReplicaUrl`, and for the types of the format that are still to come
 */
export function parseSupportedReplicaUrl(text: string): SupportedReplicaUrl {
  const url = parseReplicaUrl(text);
  if (url.type === "file") return url;
  if (url.type === "s3") return { ...url, type: "s3" };
  throw new UsageError(
    `${url.type} replicas are not in this version yet: ${withoutCredentials(text)}; ${SUPPORTED}`,
  );
}

function parseFileUrl(text: string): FileReplicaUrl {
  const rest = checked(text, text).slice("file:".length);
  const [beforeFragment, fragment] = cut(rest, "#");
  const [beforeQuery, query] = cut(beforeFragment, "?");
  // Query and fragment stay part of the name.
  const tail = `${query === undefined || query === "" ? "" : `?${query}`}${
    fragment === undefined || fragment === "" ? "" : `#${encodePath(fragment, text)}`
  }`;
  // What doesn't begin with a slash is taken as it is, without a look at its encoding.
  const opaque = !beforeQuery.startsWith("/");
  const encoded = opaque ? beforeQuery : encodePath(beforeQuery, text);
  if (encoded.replace(/^\/\//, "") === "" && tail === "") {
    throw new UsageError(`file replica path required: ${text} names no folder, try file:///backup/app`);
  }
  return { type: "file", path: cleanPath(encoded + tail) };
}

function parseRemoteUrl(text: string, type: RemoteReplicaType): RemoteReplicaUrl {
  const shown = withoutCredentials(text);
  const [withoutFragment] = cut(checked(text, shown), "#");
  const [withoutQuery] = cut(withoutFragment, "?");
  const rest = withoutQuery.slice(withoutQuery.indexOf("://") + 3);
  const slash = rest.indexOf("/");
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const uncleanPath = decode(slash < 0 ? "" : rest.slice(slash), shown);
  const at = authority.lastIndexOf("@");
  const host = authority.slice(at + 1);
  const wrongPort = /:(?!\d*$)[^\]]*$/.test(host);
  if (/[\s<>"\\^`{|}]/.test(host) || wrongPort || isBeginOfKeys(text, { type, authority })) {
    const hint = at < 0 && text.includes("@") ? ": write %2F for a / in what stands before its @" : "";
    throw new UsageError(`cannot read the host of replica URL ${shown}${hint}`);
  }
  const path = uncleanPath === "" ? "" : cleanPath(uncleanPath).replace(/^\//, "");
  const url = { type, host, path, uncleanPath };
  if (at < 0) return url;
  const [user, password] = cut(authority.slice(0, at), ":");
  const named = { ...url, user: decode(user, shown) };
  return password === undefined ? named : { ...named, password: decode(password, shown) };
}

/** Whether `authority` is no host but keys up to the first slash in them: `s3://ID:/rest@bucket`. */
function isBeginOfKeys(
  text: string,
  { type, authority }: { type: RemoteReplicaType; authority: string },
): boolean {
  return type === "s3" && /^[^.@[]+:\d*$/.test(authority) && text.includes("@");
}

/** `text` before and after the first `mark`. */
function cut(text: string, mark: string): [string, string | undefined] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + mark.length)];
}

function checked(text: string, shown: string): string {
  // deno-lint-ignore no-control-regex
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw new UsageError(`replica URL has a control character in it: ${JSON.stringify(shown)}`);
  }
  return text;
}

/** @param shown the URL as the message may show it */
function decode(text: string, shown: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(
      `replica URL ${shown} has a % that is no valid escape; write %25 for a percent sign`,
    );
  }
}

/**
 * The path as the origin of the format writes it back: left alone when it is a valid encoding, else decoded
 * and encoded anew, with its set of characters.
 */
function encodePath(path: string, url: string): string {
  const isEncoded = !/%(?![0-9A-Fa-f]{2})/.test(path) && /^[A-Za-z0-9\-_.~!$&'()*+,;=:@/[\]%]*$/.test(path);
  if (isEncoded) return path;
  const decoded = decode(path, url);
  return encodeURIComponent(decoded)
    .replace(/%(?:24|26|2B|2C|2F|3A|3B|3D|40)/g, decodeURIComponent)
    .replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Without duplicate slashes, `.` and `..`; `.` for nothing. Lexical: links aren't looked at. */
function cleanPath(path: string): string {
  const isAbsolute = path.startsWith("/");
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part !== "..") kept.push(part);
    else if (kept.length > 0 && kept.at(-1) !== "..") kept.pop();
    else if (!isAbsolute) kept.push(part);
  }
  const joined = kept.join("/");
  if (isAbsolute) return `/${joined}`;
  return joined === "" ? "." : joined;
}
