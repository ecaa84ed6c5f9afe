/** An HTTP client that takes uploads and keeps nothing, for tests of how they are cut and sent. */
import { streamOf } from "../../../src/bytes.ts";
import type { HttpClient } from "../../../src/runtime/http.ts";

/** What was taken. */
export interface Taken {
  partCount: number;
  completionCount: number;
  abortCount: number;
}

/** Such a client, and what it has taken so far. */
export function takesUploads(): { readonly seen: Taken; readonly http: HttpClient } {
  const seen = { partCount: 0, completionCount: 0, abortCount: 0 };
  const answerTo = (method: string, url: string) => {
    if (method === "DELETE") return seen.abortCount++, "";
    if (url.includes("partNumber=")) seen.partCount++;
    if (method === "PUT") return "";
    if (url.includes("uploads=")) {
      return "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    }
    seen.completionCount++;
    return "<CompleteMultipartUploadResult/>";
  };
  const http: HttpClient = {
    send({ method, url }) {
      const text = new TextEncoder().encode(answerTo(method, url));
      const whole = () => Promise.resolve(text);
      const headers = new Headers({ etag: '"etag"' });
      return Promise.resolve({ status: 200, headers, body: streamOf(text), whole });
    },
    [Symbol.dispose]() {},
  };
  return { seen, http };
}
