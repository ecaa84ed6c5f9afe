/** Where requests for a bucket go to. */
import { UsageError } from "../../errors.ts";
import { withoutCredentials } from "../replica_url.ts";

/** How a bucket is addressed. */
export interface BucketAddressOptions {
  readonly bucket: string;
  /** URL of the server, `https://` when it has no scheme; absent: AWS. */
  readonly endpoint?: string | undefined;
  /** Default: with an endpoint yes, without no. */
  readonly forcePathStyle?: boolean | undefined;
}

/** URLs of one bucket. */
export interface BucketAddress {
  /** Whether the host depends on the region. */
  readonly isAws: boolean;
  /** Scheme, host and port, for messages. */
  server(region: string): string;
  /** URL of the bucket (absent or empty key) or of an object, encoded part by part. */
  url(target: { region: string; key?: string; query?: Readonly<Record<string, string>> }): string;
}

/** @throws {UsageError} when bucket or endpoint can't be used */
export function bucketAddress({ bucket, endpoint, forcePathStyle }: BucketAddressOptions): BucketAddress {
  if (bucket === "") throw new UsageError("bucket required for s3 replica");
  if (/[/?#\s\\]/.test(bucket)) throw new UsageError(`not the name of a bucket: "${bucket}"`);
  const base = endpoint === undefined || endpoint === "" ? undefined : parseEndpoint(endpoint);
  const wantsPath = forcePathStyle ?? base !== undefined;
  const isHttps = base === undefined || base.protocol === "https:";
  // A dot would not match the certificate, and such a name may not be one of a host at all.
  const isHostName = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(bucket);
  const isPathStyle = wantsPath || !isHostName || (isHttps && bucket.includes("."));
  const baseFor = (region: string) => base ?? new URL(awsEndpoint(region));
  const root = (region: string) => {
    const { protocol, host, pathname } = baseFor(region);
    const folder = pathname.replace(/\/+$/, "");
    return isPathStyle
      ? `${protocol}//${host}${folder}/${encodeURIComponent(bucket)}`
      : `${protocol}//${bucket}.${host}${folder}`;
  };
  return {
    isAws: base === undefined,
    server: (region) => baseFor(region).origin,
    url({ region, key = "", query = {} }) {
      const path = key.split("/").map(encodeURIComponent).join("/");
      const search = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
        .join("&");
      // Without a key a bucket in its own host needs the slash, one in the path is better off without.
      const slash = key === "" && isPathStyle ? "" : "/";
      return `${root(region)}${slash}${path}${search === "" ? "" : `?${search}`}`;
    },
  };
}

function parseEndpoint(text: string): URL {
  // Not looked for in the URL: keys with a slash in them are no URL, or go on in its path.
  if (text.includes("@")) {
    throw new UsageError(
      `endpoint must not contain keys: ${withoutCredentials(text)}; use access-key-id and secret-access-key`,
    );
  }
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`;
  const url = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw new UsageError(`endpoint is no http or https URL: ${text}`);
  }
  return url;
}

function awsEndpoint(region: string): string {
  return `https://s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
}
