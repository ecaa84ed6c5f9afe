/** Checksums of byte arrays, computed by the runtime's own native code. */
import { createHash } from "node:crypto";
import { crc32 as crc32Of } from "node:zlib";

/** MD5, 16 bytes: what S3 calls Content-MD5 and, for most objects, ETag. Not for anything secret. */
export function md5(bytes: Uint8Array): Uint8Array {
  return createHash("md5").update(bytes).digest();
}

/** SHA-256, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

/** SHA-256 in lowercase hex. */
export function sha256Hex(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** HMAC of `text` with SHA-256, 32 bytes. */
export function hmacSha256(key: Uint8Array, text: string): Uint8Array {
  return hmacHash(key, text).digest();
}

/** HMAC of `text` with SHA-256 in lowercase hex. */
export function hmacSha256Hex(key: Uint8Array, text: string): string {
  return hmacHash(key, text).digest("hex");
}

const HMAC_BLOCK = 64;

/**
 * By its definition (RFC 2104) from two hashes: Deno's `createHmac` makes a stream each time, which takes ten times as
 * long, and every request is signed.
 */
function hmacHash(key: Uint8Array, text: string): ReturnType<typeof createHash> {
  const inner = new Uint8Array(HMAC_BLOCK);
  inner.set(key.length > HMAC_BLOCK ? sha256(key) : key);
  const outer = inner.map((byte) => byte ^ 0x5c);
  for (let at = 0; at < HMAC_BLOCK; at++) inner[at]! ^= 0x36;
  const innerHash = createHash("sha256").update(inner).update(text).digest();
  return createHash("sha256").update(outer).update(innerHash);
}

/** CRC-32 (the one of zip and Ethernet), 4 bytes, big-endian. */
export function crc32(bytes: Uint8Array): Uint8Array {
  const sum = new Uint8Array(4);
  new DataView(sum.buffer).setUint32(0, crc32Of(bytes));
  return sum;
}

/** `bytes` in base64, with padding. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
