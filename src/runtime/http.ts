/**
 * HTTP requests, the one way to them. Bodies are byte arrays: Deno sends a stream chunked even with a
 * Content-Length, which servers refuse.
 */
import process from "node:process";

/** One request; a body is sent with its length. */
export interface HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Not changed until the answer is there: what is sent twice is read twice. */
  readonly body?: Uint8Array | undefined;
  readonly signal?: AbortSignal | undefined;
  /**
   * Over a connection of its own: when one breaks that was kept, Deno sends any request a second time by itself, and Bun
   * those that may be repeated. Default false.
   */
  readonly isSentOnce?: boolean;
}

/** The head of an answer, and its body as it comes. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: Headers;
  /** Read or cancelled by who sent the request; `null` when there is none. */
  readonly body: ReadableStream<Uint8Array> | null;
  /**
   * All of the body instead, in memory of its own, where the head says how long it is: no byte is copied on the way. A
   * stream copies each, and takes 64 KiB of memory for each body on Deno, however small.
   */
  whole(): Promise<Uint8Array<ArrayBuffer>>;
}

/** Sends requests over connections that it keeps. */
export interface HttpClient extends Disposable {
  /**
   * Resolves with the head of the answer, whatever its status; redirects are not followed.
   *
   * @throws what `classifyHttpError` explains (http_failure.ts), or the signal's reason
   */
  send(request: HttpRequest): Promise<HttpResponse>;
}

/** How servers are trusted. */
export interface HttpClientOptions {
  /** Certificates in PEM that are trusted besides those that the runtime brings. */
  readonly caCert?: string | undefined;
  /** Trust whatever certificate a server shows. Default false. */
  readonly skipVerify?: boolean | undefined;
}

/**
 * A client for one way of trusting; dispose of it to let its connections go.
 *
 * On Deno a client with a `caCert` takes 90 ms to make, since it loads the system's certificates.
 *
 * @throws {Error} when `caCert` holds no certificate
 */
export function openHttpClient({ caCert, skipVerify = false }: HttpClientOptions = {}): HttpClient {
  const trust = trustOptions(caCert);
  return {
    async send(request) {
      if (skipVerify && request.url.startsWith("https:")) {
        // Here, since `node:https` takes 4 to 10 ms of a start to load.
        const { sendUnverified } = await import("./https_unverified.ts");
        return await sendUnverified(request);
      }
      const { url, method, headers, body, signal, isSentOnce = false } = request;
      const response = await fetch(url, {
        method,
        headers,
        redirect: "manual",
        ...trust.init({ isSentOnce }),
        ...(body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> }),
        ...(signal === undefined ? {} : { signal }),
      });
      return {
        status: response.status,
        headers: response.headers,
        body: response.body,
        whole: async () => new Uint8Array(await response.arrayBuffer()),
      };
    },
    [Symbol.dispose]: () => trust.close(),
  };
}

/**
 * Each runtime has its own way to name a certificate authority. Deno would send everything to one server over a
 * single connection by HTTP/2, where Bun speaks HTTP/1.1: requests side by side are to have a connection each. Bun would
 * end a request after five minutes without a byte: how long one is waited for is up to who sends it.
 */
function trustOptions(
  caCert: string | undefined,
): { init(how: { isSentOnce: boolean }): RequestInit; close(): void } {
  // The runtimes pass over what they can't read, and then trust nobody.
  if (caCert !== undefined && !isCertificate(caCert)) throw new Error("not a certificate in PEM");
  if ("Deno" in globalThis) {
    const options = { http2: false, ...(caCert === undefined ? {} : { caCerts: [caCert] }) };
    const client = Deno.createHttpClient(options);
    let forgetful: Deno.HttpClient | undefined;
    return {
      init: ({ isSentOnce }) => ({
        client: isSentOnce
          ? forgetful ??= Deno.createHttpClient({ ...options, poolMaxIdlePerHost: 0 })
          : client,
      } as RequestInit),
      close() {
        client.close();
        forgetful?.close();
      },
    };
  }
  const tls = caCert === undefined ? {} : { tls: { ca: caCert } };
  return {
    init({ isSentOnce }) {
      const init = { ...tls, timeout: false, keepalive: !isSentOnce };
      return init as RequestInit;
    },
    close() {},
  };
}

function isCertificate(pem: string): boolean {
  const { X509Certificate } = process.getBuiltinModule("node:crypto");
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.length > 0 && blocks.every((block) => new X509Certificate(block).subject !== undefined);
  } catch {
    return false;
  }
}
