/** What the XML answers of S3 servers say. Each parser throws when the document isn't the one expected. */
import { childrenNamed, childText, parseXml, type XmlElement } from "./xml.ts";

/** A page of a listing. */
export interface ListingPage {
  readonly objects: readonly { readonly key: string; readonly size: number; readonly modifiedAt: Date }[];
  /** Common prefixes, with the delimiter at the end. */
  readonly prefixes: readonly string[];
  /** How to ask for the next page; absent on the last one. */
  readonly next?: { readonly token: string } | { readonly startAfter: string };
}

/** An upload in parts that was begun and neither completed nor aborted. */
export interface PendingUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiatedAt: Date;
}

/** What a server says in an `<Error>`. */
export interface ErrorDocument {
  readonly code: string;
  readonly message: string;
  readonly region?: string | undefined;
  readonly serverTime?: string | undefined;
  readonly requestId?: string | undefined;
}

/** A page of ListObjectsV2. */
export function parseListing(text: string): ListingPage {
  const root = rootNamed(text, "ListBucketResult");
  const decode = keyDecoder(root);
  const objects = childrenNamed(root, "Contents").map((entry) => ({
    key: decode(required(entry, "Key")),
    size: wholeNumber(required(entry, "Size")),
    modifiedAt: time(required(entry, "LastModified")),
  }));
  const prefixes = childrenNamed(root, "CommonPrefixes").map((entry) => decode(required(entry, "Prefix")));
  if (!isTrue(childText(root, "IsTruncated"))) return { objects, prefixes };
  const token = childText(root, "NextContinuationToken");
  if (token !== undefined && token !== "") return { objects, prefixes, next: { token } };
  // Some servers forget the token; the last name of the page does as well.
  const startAfter = [objects.at(-1)?.key ?? "", prefixes.at(-1) ?? ""].sort().at(-1)!;
  if (startAfter === "") throw new Error("a listing goes on but says not where");
  return { objects, prefixes, next: { startAfter } };
}

/** The failures in an answer to DeleteObjects. */
export function parseDeleteResult(text: string): { key: string; code: string; message: string }[] {
  return childrenNamed(rootNamed(text, "DeleteResult"), "Error").map((entry) => ({
    key: childText(entry, "Key") ?? "",
    code: childText(entry, "Code") ?? "",
    message: childText(entry, "Message") ?? "",
  }));
}

/** The id in an answer to CreateMultipartUpload; rclone names that in its own way. */
export function parseUploadId(text: string): string {
  return required(rootNamed(text, "InitiateMultipartUploadResult", "InitiateMultipartUpload"), "UploadId");
}

/** Throws unless the answer to CompleteMultipartUpload says that it is done; an error comes with status 200 too. */
export function parseCompletion(text: string): { error?: ErrorDocument } {
  const root = parseXml(text);
  if (root.name === "Error") return { error: errorOf(root) };
  if (root.name !== "CompleteMultipartUploadResult") throw unexpected(root, "CompleteMultipartUploadResult");
  return {};
}

/** A page of ListMultipartUploads. */
export function parsePendingUploads(
  text: string,
): { uploads: PendingUpload[]; next?: { keyMarker: string; uploadIdMarker: string } } {
  const root = rootNamed(text, "ListMultipartUploadsResult");
  const decode = keyDecoder(root);
  const uploads = childrenNamed(root, "Upload").map((entry) => ({
    key: decode(required(entry, "Key")),
    uploadId: required(entry, "UploadId"),
    initiatedAt: time(required(entry, "Initiated")),
  }));
  const keyMarker = childText(root, "NextKeyMarker") ?? "";
  if (!isTrue(childText(root, "IsTruncated")) || keyMarker === "") return { uploads };
  const uploadIdMarker = childText(root, "NextUploadIdMarker") ?? "";
  return { uploads, next: { keyMarker: decode(keyMarker), uploadIdMarker } };
}

/** An `<Error>`; `undefined` when the text is anything else, as a proxy's page in HTML. */
export function parseErrorDocument(text: string): ErrorDocument | undefined {
  try {
    const root = parseXml(text);
    return root.name === "Error" ? errorOf(root) : undefined;
  } catch {
    return undefined; // The status alone has to do.
  }
}

/** Whether a text begins as an `<Error>` does and is no whole document. */
export function isCutDocument(text: string): boolean {
  if (!/^\s*<(\?xml|Error)/.test(text)) return false;
  try {
    parseXml(text);
    return false;
  } catch {
    return true;
  }
}

function errorOf(root: XmlElement): ErrorDocument {
  return {
    code: childText(root, "Code") ?? "",
    message: childText(root, "Message") ?? "",
    region: childText(root, "Region"),
    serverTime: childText(root, "ServerTime"),
    requestId: childText(root, "RequestId"),
  };
}

function rootNamed(text: string, name: string, ...others: string[]): XmlElement {
  const root = parseXml(text);
  if (root.name !== name && !others.includes(root.name)) throw unexpected(root, name);
  return root;
}

function unexpected(root: XmlElement, name: string): Error {
  return new Error(`the server answered with <${root.name}> instead of <${name}>`);
}

function required(element: XmlElement, name: string): string {
  const text = childText(element, name);
  if (text === undefined) throw new Error(`<${element.name}> has no <${name}>`);
  return text;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new Error(`${text} is no size`);
  return value;
}

function time(text: string): Date {
  const value = new Date(text);
  if (Number.isNaN(value.getTime())) throw new Error(`${text} is no time`);
  return value;
}

function isTrue(text: string | undefined): boolean {
  return text?.toLowerCase() === "true";
}

/** Keys are asked for in URL encoding, but not every server does it; one that does says so. */
function keyDecoder(root: XmlElement): (text: string) => string {
  if (childText(root, "EncodingType")?.toLowerCase() !== "url") return (text) => text;
  return (text) => {
    try {
      return decodeURIComponent(text.replaceAll("+", " "));
    } catch {
      return text;
    }
  };
}
