/** Checksums of byte arrays, computed by the runtime's own native code. */
import { createHash, createHmac } from "node:crypto";
import { crc32 as crc32Of } from "node:zlib";

/** MD5, 16 bytes: what S3 calls Content-MD5 and, for most objects, ETag. Not for anything secret. */
export function md5(bytes: Uint8Array): Uint8Array {
  return createHash("md5").update(bytes).digest();
}

/** SHA-256, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash("sha256").update(bytes).digest();
}

/** HMAC of `text` with SHA-256, 32 bytes. */
export function hmacSha256(key: Uint8Array, text: string): Uint8Array {
  return createHmac("sha256", key).update(text).digest();
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
