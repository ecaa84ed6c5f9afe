/** Checksums that a server verifies when it gets bytes, and what its answer must say of them. */
import { crc32, md5, sha256, toBase64 } from "../../runtime/digests.ts";
import { toHex } from "../../bytes.ts";

/** How the bytes of a body are secured on their way. */
export type ChecksumKind = "md5" | "crc32" | "sha256";

/** A body's checksum, as it is sent and as it must come back. */
export interface BodyChecksum {
  readonly kind: ChecksumKind;
  /** Base64. */
  readonly value: string;
  /** To be signed with the request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Lowercase hex; only of `md5`. */
  readonly md5Hex?: string | undefined;
}

/** Name of the element that lists a part's checksum when an upload is completed. */
export const CHECKSUM_ELEMENTS: Readonly<Record<ChecksumKind, string | undefined>> = {
  md5: undefined,
  crc32: "ChecksumCRC32",
  sha256: "ChecksumSHA256",
};

/** The checksum of `bytes`. */
export function checksumOf(bytes: Uint8Array, { kind }: { kind: ChecksumKind }): BodyChecksum {
  if (kind === "md5") {
    const sum = md5(bytes);
    const value = toBase64(sum);
    return { kind, value, headers: { "content-md5": value }, md5Hex: toHex(sum) };
  }
  const value = toBase64(kind === "crc32" ? crc32(bytes) : sha256(bytes));
  return { kind, value, headers: { [`x-amz-checksum-${kind}`]: value } };
}

/**
 * What the head of an answer says of the checksum of the bytes that were sent.
 *
 * @returns `unsaid` when it says nothing that can be compared: an ETag of encrypted objects is no MD5
 */
export function compareChecksum(sent: BodyChecksum, headers: Headers): "same" | "other" | "unsaid" {
  if (sent.md5Hex === undefined) {
    const echoed = headers.get(`x-amz-checksum-${sent.kind}`);
    if (echoed === null || echoed === "") return "unsaid";
    return echoed === sent.value ? "same" : "other";
  }
  const etag = md5InEtag(headers);
  if (etag === undefined) return "unsaid";
  return etag === sent.md5Hex ? "same" : "other";
}

/** The MD5 that an ETag is for objects sent in one piece and not encrypted with keys of the customer's. */
export function md5InEtag(headers: Headers): string | undefined {
  const encryption = headers.get("x-amz-server-side-encryption") ?? "";
  const isKeyed = encryption.startsWith("aws:kms") ||
    headers.has("x-amz-server-side-encryption-customer-algorithm");
  if (isKeyed) return undefined;
  return /^"?([0-9a-f]{32})"?$/i.exec(headers.get("etag") ?? "")?.[1]?.toLowerCase();
}
