/** Checksums of byte arrays, computed by the runtime's own native code. */
import process from "node:process";

interface BunHasher {
  update(bytes: Uint8Array | string): BunHasher;
  digest(): Uint8Array;
}

interface BunDigests {
  readonly CryptoHasher: new (algorithm: string, key?: Uint8Array) => BunHasher;
  readonly hash: { crc32(bytes: Uint8Array, before: number): number };
}

/** `node:crypto` and `node:zlib` take Bun 4 to 5 ms of a start each to load alone. */
const bun = (globalThis as { Bun?: BunDigests }).Bun;

function digest(algorithm: "md5" | "sha256", bytes: Uint8Array): Uint8Array {
  if (bun !== undefined) return new bun.CryptoHasher(algorithm).update(bytes).digest();
  return process.getBuiltinModule("node:crypto").createHash(algorithm).update(bytes).digest();
}

/** MD5, 16 bytes: what S3 calls Content-MD5 and, for most objects, ETag. Not for anything secret. */
export function md5(bytes: Uint8Array): Uint8Array {
  return digest("md5", bytes);
}

/** SHA-256, 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return digest("sha256", bytes);
}

/** HMAC of `text` with SHA-256, 32 bytes. */
export function hmacSha256(key: Uint8Array, text: string): Uint8Array {
  if (bun !== undefined) return new bun.CryptoHasher("sha256", key).update(text).digest();
  return process.getBuiltinModule("node:crypto").createHmac("sha256", key).update(text).digest();
}

/** CRC-32 (the one of zip and Ethernet), 4 bytes, big-endian. */
export function crc32(bytes: Uint8Array): Uint8Array {
  const sum = new Uint8Array(4);
  new DataView(sum.buffer).setUint32(0, continueCrc32(0, bytes));
  return sum;
}

/** The same as a number, of `bytes` behind those of which it is `before`; of no bytes it is 0. */
export function continueCrc32(before: number, bytes: Uint8Array): number {
  if (bun !== undefined) return bun.hash.crc32(bytes, before);
  return process.getBuiltinModule("node:zlib").crc32(bytes, before);
}

/** `bytes` in base64, with padding. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}
