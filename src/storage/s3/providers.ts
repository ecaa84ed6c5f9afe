/**
 * Hosts of S3 and its look-alikes: what a replica URL's host says of bucket, region and endpoint, and what is
 * special about each provider. The first six rows are the format's own, with its patterns.
 */
import { cleanPrefix } from "./place.ts";

/** What is known from the host of a replica URL. */
export interface S3Location {
  readonly bucket: string;
  readonly region?: string;
  readonly endpoint?: string;
  readonly forcePathStyle?: boolean;
}

/** What must be done in another way than with AWS. */
export interface S3Quirks {
  /** All parts of an upload but the last must be of one size. */
  readonly hasEqualParts?: boolean;
  /** False: no DeleteObjects. */
  readonly hasBatchDelete?: boolean;
  /** What the provider verifies, where asking it would be wrong. */
  readonly checksum?: "md5";
  /** The bucket must be in the host, where AWS and the others take it in the path too. */
  readonly hasBucketInHost?: boolean;
}

interface Provider {
  readonly name: string;
  /** Of a URL's host without port; its groups are `bucket` and, where the host names it, `region`. */
  readonly host: RegExp;
  /** Of an endpoint's host, to know its quirks. */
  readonly endpointHost: RegExp;
  /** `$host` is the host without the bucket. Default `https://$host`. */
  readonly endpoint?: string;
  /** The host follows from the region: a wrong one can be corrected. */
  readonly isAws?: true;
  /** Where the host doesn't name one. */
  readonly region?: string;
  readonly quirks?: S3Quirks;
}

const PROVIDERS: readonly Provider[] = [
  {
    name: "localhost",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>localhost)$/,
    endpointHost: /^localhost$/,
    endpoint: "http://$host",
    region: "us-east-1",
  },
  {
    name: "Backblaze B2",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>s3.(?<region>[^.]+)\.backblazeb2.com)$/,
    endpointHost: /\.backblazeb2\.com$/,
  },
  {
    name: "Filebase",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>s3.filebase.com)$/,
    endpointHost: /(^|\.)filebase\.(com|io)$/,
  },
  {
    name: "DigitalOcean Spaces",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>(?<region>[^.]+)\.digitaloceanspaces.com)$/,
    endpointHost: /\.digitaloceanspaces\.com$/,
  },
  {
    name: "Scaleway",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>s3.(?<region>[^.]+)\.scw\.cloud)$/,
    endpointHost: /\.scw\.cloud$/,
  },
  {
    name: "Linode",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>(?<region>[^.]+)\.linodeobjects.com)$/,
    endpointHost: /\.linodeobjects\.com$/,
  },
  {
    name: "Cloudflare R2",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>[0-9a-f]{32}\.(?:(?:eu|us|fedramp)\.)?r2\.cloudflarestorage\.com)$/,
    endpointHost: /\.r2\.cloudflarestorage\.com$/,
    region: "auto",
    quirks: { hasEqualParts: true },
  },
  {
    name: "Tigris",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>fly\.storage\.tigris\.dev|t3\.storage\.dev)$/,
    endpointHost: /(^|\.)(fly\.storage\.tigris\.dev|t3\.storage\.dev)$/,
    region: "auto",
    // Of buckets made after February 2025; older ones are found both ways.
    quirks: { hasBucketInHost: true },
  },
  {
    name: "Wasabi",
    // The oldest region has a host without a name, too.
    host: /^(?:(?<bucket>.+)\.)?(?<rest>s3\.(?:(?<region>[^.]+)\.)?wasabisys\.com)$/,
    endpointHost: /\.wasabisys\.com$/,
    region: "us-east-1",
  },
  {
    name: "Hetzner",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>(?<region>[^.]+)\.your-objectstorage\.com)$/,
    endpointHost: /\.your-objectstorage\.com$/,
  },
  {
    name: "OVHcloud",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>s3\.(?<region>[^.]+)\.(?:io|perf)\.cloud\.ovh\.(?:net|us))$/,
    endpointHost: /\.cloud\.ovh\.(net|us)$/,
  },
  {
    name: "Supabase",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>[a-z0-9]{20}(?:\.storage)?\.supabase\.co)$/,
    endpointHost: /\.supabase\.co$/,
    endpoint: "https://$host/storage/v1/s3",
  },
  {
    name: "Google Cloud Storage",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>storage\.googleapis\.com)$/,
    endpointHost: /^storage\.googleapis\.com$/,
    region: "auto",
    quirks: { hasBatchDelete: false, checksum: "md5" },
  },
  {
    name: "AWS",
    host: /^(?:(?<bucket>.+)\.)?(?<rest>s3\.(?<region>[^.]+)\.amazonaws\.com(?:\.cn)?)$/,
    endpointHost: /\.amazonaws\.com(\.cn)?$/,
    isAws: true,
  },
];

/**
 * What the host of an `s3://` URL says. A host of no known provider is a bucket of AWS, dots included.
 *
 * @param host with its port, if it has one
 */
export function parseS3Host(host: string): S3Location {
  const [, name = "", port = ""] = /^(.*?)(:\d*)?$/.exec(host) ?? [];
  for (const provider of PROVIDERS) {
    const groups = provider.host.exec(name)?.groups;
    if (groups === undefined) continue;
    const region = groups["region"] ?? provider.region;
    const place = { bucket: groups["bucket"] ?? "", ...(region === undefined ? {} : { region }) };
    if (provider.isAws) return place;
    return {
      ...place,
      endpoint: (provider.endpoint ?? "https://$host").replace("$host", () => `${groups["rest"]}${port}`),
      forcePathStyle: provider.quirks?.hasBucketInHost !== true,
    };
  }
  return { bucket: name };
}

/** A location with what the configuration says explicitly, which wins: also `forcePathStyle: false`. */
export function locateReplica(
  { host, path }: { host: string; path: string },
  explicit: {
    readonly region?: string | undefined;
    readonly endpoint?: string | undefined;
    readonly forcePathStyle?: boolean | undefined;
  } = {},
): S3Location & { readonly path: string } {
  const { bucket, ...derived } = parseS3Host(host);
  const region = explicit.region || derived.region;
  const endpoint = explicit.endpoint || derived.endpoint;
  const isInPath = explicit.endpoint ? !quirksOf(explicit.endpoint).hasBucketInHost : derived.forcePathStyle;
  const forcePathStyle = explicit.forcePathStyle ?? isInPath;
  return {
    bucket,
    path: cleanPrefix(path),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
  };
}

/** The quirks of the provider that an endpoint belongs to; none for AWS and servers of one's own. */
export function quirksOf(endpoint: string | undefined): S3Quirks & { readonly region?: string } {
  if (endpoint === undefined || endpoint === "") return {};
  const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(endpoint) ? endpoint : `https://${endpoint}`;
  if (!URL.canParse(withScheme)) return {};
  const { hostname } = new URL(withScheme);
  const provider = PROVIDERS.find(({ endpointHost }) => endpointHost.test(hostname));
  if (provider === undefined) return {};
  const groups = provider.host.exec(hostname)?.groups;
  const region = provider.region ?? groups?.["region"];
  // An endpoint that names the bucket already, as Litestream takes it, gets the bucket in the path.
  const { hasBucketInHost = false, ...quirks } = provider.quirks ?? {};
  const isBare = hasBucketInHost && groups?.["bucket"] === undefined;
  return { ...quirks, ...(isBare ? { hasBucketInHost } : {}), ...(region === undefined ? {} : { region }) };
}
