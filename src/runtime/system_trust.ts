/** The certificates that this machine trusts, such as those of `update-ca-certificates`: neither runtime reads them. */
import { promises as fs } from "node:fs";
import process from "node:process";

/** Each names a file; the first that is set and holds a certificate comes before the system's own. */
const VARIABLES: readonly string[] = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"];

/** Where Go looks, in its order: Debian, Fedora, SUSE, OpenELEC, RHEL, and Alpine with macOS and the BSDs. */
const BUNDLE_PATHS: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
  "/usr/local/etc/ssl/cert.pem",
  "/usr/local/share/certs/ca-root-nss.crt",
  "/etc/openssl/certs/ca-certificates.crt",
];

/** Bytes; a usual bundle has a quarter of a million. */
const LARGEST_BUNDLE_SIZE = 16 * 1024 * 1024;

/** Where the bundle is looked for. */
export interface SystemTrustOptions {
  /** Default: the variables of the process. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Default: those of the usual systems. */
  readonly paths?: readonly string[] | undefined;
}

/**
 * The certificates of the first bundle that has any, in PEM and without what else stands there; `undefined` where there
 * is none. A bundle that can't be read is passed over.
 */
export async function readSystemTrust(
  { env = process.env, paths = BUNDLE_PATHS }: SystemTrustOptions = {},
): Promise<string | undefined> {
  for (const path of [...VARIABLES.map((name) => env[name]), ...paths]) {
    if (!path) continue;
    const certificates = certificatesOf(await readBundle(path)).filter(isCertificate);
    if (certificates.length > 0) return certificates.join("\n") + "\n";
  }
  return undefined;
}

let shared: Promise<string | undefined> | undefined;

/** What `readSystemTrust` gives, read once in the process: each of a thousand replicas has clients of its own. */
export function sharedSystemTrust(): Promise<string | undefined> {
  return shared ??= readSystemTrust();
}

/** Whether `pem` holds certificates, and none that can't be read. */
export function isCertificates(pem: string): boolean {
  const certificates = certificatesOf(pem);
  return certificates.length > 0 && certificates.every(isCertificate);
}

async function readBundle(path: string): Promise<string> {
  try {
    const { size } = await fs.stat(path);
    return size > LARGEST_BUNDLE_SIZE ? "" : await fs.readFile(path, "latin1");
  } catch {
    // Missing, or not for us to read: the next one is looked at.
    return "";
  }
}

function certificatesOf(pem: string): readonly string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function isCertificate(block: string): boolean {
  const { X509Certificate } = process.getBuiltinModule("node:crypto");
  try {
    return new X509Certificate(block).subject !== undefined;
  } catch {
    return false;
  }
}
