/** What encrypts the objects of a replica before they are stored; the layers between know no more of it. */

/** Encrypts and decrypts whole objects. Chunks that it is given may change once the next one is asked for. */
export interface Cipher {
  /** Whether there are keys to write with. */
  readonly canEncrypt: boolean;
  /** Whether there are keys to read with. */
  readonly canDecrypt: boolean;

  /**
   * `plain`, encrypted while it is read; memory stays flat. An error of the source becomes the stream's, a cancel is
   * passed on to the source.
   *
   * @throws {EncryptionError} when read, without keys to write with
   */
  encrypt(plain: ReadableStream<Uint8Array>): ReadableStream<Uint8Array>;

  /**
   * `stored`, decrypted while it is read, otherwise as `encrypt()`. Each chunk is proven; that nothing is missing
   * behind it is proven by the end.
   *
   * @throws {EncryptionError} when read, if none of the keys fits; any other error means damage
   */
  decrypt(stored: ReadableStream<Uint8Array>): ReadableStream<Uint8Array>;

  /** `encrypt()` for what is small. Several at once are quicker than one after the other. */
  encryptBytes(plain: Uint8Array): Promise<Uint8Array>;

  /** `decrypt()` for what is small. Several at once are quicker than one after the other. */
  decryptBytes(stored: Uint8Array): Promise<Uint8Array>;
}
