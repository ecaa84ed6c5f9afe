import { parsePendingUploads, type PendingUpload } from "./answers.ts";
import { countOperation, describePlace, type S3Context } from "./context.ts";
import { abortUpload } from "./multipart.ts";

/**
 * Abort the uploads that a crash left unfinished and that began before `before`: bytes that cost money and nobody sees.
 * The first failure is thrown after all were tried.
 */
export async function abortPendingUploads(
  context: S3Context,
  { prefix, isOurs, before, signal }: {
    /** In the bucket. */
    prefix: string;
    /** Whether a key under the prefix is one that we write. */
    isOurs: (key: string) => boolean;
    before: Date;
    signal?: AbortSignal | undefined;
  },
): Promise<number> {
  let count = 0;
  const failures: unknown[] = [];
  for await (const { key, uploadId, initiatedAt } of pendingUploads(context, { prefix, signal })) {
    if (initiatedAt >= before || !key.startsWith(prefix) || !isOurs(key.slice(prefix.length))) continue;
    try {
      await abortUpload(context, { key, uploadId, ...(signal === undefined ? {} : { signal }) });
      count++;
    } catch (error) {
      signal?.throwIfAborted();
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  return count;
}

async function* pendingUploads(
  context: S3Context,
  { prefix, signal }: { prefix: string; signal: AbortSignal | undefined },
): AsyncGenerator<PendingUpload> {
  let markers: Record<string, string> = {};
  for (;;) {
    const page = await context.connection.send({
      doing: `list the unfinished uploads of ${describePlace(context.bucket, prefix)}`,
      right: "s3:ListBucketMultipartUploads",
      method: "GET",
      query: { uploads: "", prefix, ...markers },
      signal,
      read: async (exchange) => parsePendingUploads(await exchange.text()),
    });
    countOperation(context, { operation: "LIST" });
    yield* page.uploads;
    if (page.next === undefined) return;
    const { keyMarker, uploadIdMarker } = page.next;
    if (markers["key-marker"] === keyMarker && markers["upload-id-marker"] === uploadIdMarker) return;
    markers = { "key-marker": keyMarker, "upload-id-marker": uploadIdMarker };
  }
}
