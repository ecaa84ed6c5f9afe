/**
 * HTTP requests, the one way to them. Bodies are byte arrays: Deno sends a stream chunked even with a
 * Content-Length, which servers refuse.
 */
import { type HostNames, sharedHostNames } from "./host_names.ts";
import { classifyHttpError, type HttpFailureKind, isCertificateRefusal } from "./http_failure.ts";
import { isCertificates, sharedSystemTrust } from "./system_trust.ts";

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
  /** Certificates in PEM that are trusted besides the runtime's and the system's. */
  readonly caCert?: string | undefined;
  /** Trust whatever certificate a server shows. Default false. */
  readonly skipVerify?: boolean | undefined;
  /** The system's certificates in PEM, asked for when a server is not trusted without. Default: `sharedSystemTrust`. */
  readonly systemTrust?: (() => Promise<string | undefined>) | undefined;
  /** Default: `sharedHostNames`. */
  readonly hostNames?: HostNames | undefined;
}

/**
 * A client for one way of trusting; dispose of it to let its connections go.
 *
 * The system's certificates are read once a server's certificate was refused without them, and count from the first
 * request on that they help: a runtime doesn't know them by itself, and on Deno a client with certificates takes up to
 * 90 ms to make.
 *
 * @throws {Error} when `caCert` holds no certificate
 */
export function openHttpClient(
  { caCert, skipVerify = false, systemTrust = sharedSystemTrust, hostNames = sharedHostNames() }:
    HttpClientOptions = {},
): HttpClient {
  // The runtimes pass over what they can't read, and then trust nobody.
  if (caCert !== undefined && !isCertificates(caCert)) throw new Error("not a certificate in PEM");
  const configured = caCert === undefined ? [] : [caCert];
  const narrow = openTrust(configured);
  let trust = narrow;
  let isClosed = false;
  // One for all requests that are refused, whenever that is.
  let widening: Promise<Trust | undefined> | undefined;
  const widen = async (): Promise<Trust | undefined> => {
    const certificates = await systemTrust();
    return certificates === undefined || isClosed ? undefined : openTrust([...configured, certificates]);
  };
  const send: HttpClient["send"] = async (request) => {
    if (skipVerify && request.url.startsWith("https:")) {
      // Here, since `node:https` takes 4 to 10 ms of a start to load.
      const { sendUnverified } = await import("./https_unverified.ts");
      return await sendUnverified(request);
    }
    const tried = trust;
    try {
      return await sendTrusting(tried, request);
    } catch (refusal) {
      // Nothing of the request was sent yet. Where the wide trust was in use already there is no wider one.
      if (tried !== narrow || !isCertificateRefusal(refusal)) throw refusal;
      // Whatever is wrong with the system's certificates, the refusal is what counts.
      const wide = await (widening ??= widen().catch(() => undefined));
      request.signal?.throwIfAborted();
      if (wide === undefined || isClosed) throw refusal;
      const response = await sendTrusting(wide, request).catch((error) => {
        throw isCertificateRefusal(error) ? refusal : error;
      });
      trust = wide;
      return response;
    }
  };
  return {
    send: hostNames === undefined ? send : sendToFound(send, hostNames),
    [Symbol.dispose]() {
      if (isClosed) return;
      isClosed = true;
      narrow.close();
      widening?.then((wide) => wide?.close());
    },
  };
}

/**
 * `send`, once the name of the host is found. Where the last answer came from there a connection was kept, most likely, which
 * needs no name: the name server's silence is then no reason to wait.
 */
function sendToFound(send: HttpClient["send"], hostNames: HostNames): HttpClient["send"] {
  const answering = new Set<string>();
  return async (request) => {
    const { hostname } = new URL(request.url);
    if (!answering.has(hostname)) await hostNames.find(hostname, request);
    try {
      const response = await send(request);
      answering.add(hostname);
      hostNames.noteFound(hostname);
      return response;
    } catch (error) {
      if (request.signal?.aborted || NAME_FAILURES.has(classifyHttpError(error))) {
        answering.delete(hostname);
        hostNames.forget(hostname);
      }
      throw error;
    }
  };
}

const NAME_FAILURES: ReadonlySet<HttpFailureKind> = new Set(["no-such-host", "no-name-service"]);

async function sendTrusting(trust: Trust, request: HttpRequest): Promise<HttpResponse> {
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
}

/** The connections to servers that some certificates vouch for. */
interface Trust {
  init(how: { isSentOnce: boolean }): RequestInit;
  close(): void;
}

/**
 * Each runtime has its own way to name certificate authorities besides its own. Deno would send everything to one server
 * over a single connection by HTTP/2, where Bun speaks HTTP/1.1: requests side by side are to have a connection each. Bun
 * would end a request after five minutes without a byte: how long one is waited for is up to who sends it.
 *
 * @param certificates texts in PEM
 */
function openTrust(certificates: string[]): Trust {
  if ("Deno" in globalThis) {
    const options = { http2: false, ...(certificates.length === 0 ? {} : { caCerts: certificates }) };
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
  const tls = certificates.length === 0 ? {} : { tls: { ca: certificates } };
  return {
    init({ isSentOnce }) {
      const init = { ...tls, timeout: false, keepalive: !isSentOnce };
      return init as RequestInit;
    },
    close() {},
  };
}
