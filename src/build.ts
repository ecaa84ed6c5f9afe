/** What `compile.sh` knows of an executable and the sources don't. */
export interface BuildInfo {
  /** The commit it was built from; `undefined` when that isn't known. */
  readonly commit?: string | undefined;
  /** Such as `linux-x64`. */
  readonly target: string;
  /** The licences of what is inside, as text. */
  readonly loadNotices: () => Promise<string>;
}
