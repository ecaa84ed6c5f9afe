/** Deleting: a thousand objects a request where the server can, else one by one. */
import { Semaphore } from "../../async.ts";
import { md5, toBase64 } from "../../runtime/digests.ts";
import { parseDeleteResult } from "./answers.ts";
import { countOperation, describePlace, type S3Context } from "./context.ts";
import { isMissingObject, reactTo } from "./failure.ts";
import { escapeXml } from "./xml.ts";
import { StoreError } from "../../errors.ts";

/** The most that DeleteObjects takes. */
const BATCH_SIZE = 1000;

/** Single deletes on their way at once. */
const PARALLEL = 8;

/** What says that a server has no DeleteObjects. */
const UNKNOWN_CODES: ReadonlySet<string> = new Set([
  "NotImplemented",
  "MethodNotAllowed",
  "UnsupportedOperation",
]);

/** Delete objects by their keys in the bucket; the first failure is thrown after all were tried. */
export async function deleteObjects(
  context: S3Context,
  { keys, signal }: { keys: readonly string[]; signal: AbortSignal | undefined },
): Promise<void> {
  const failures: unknown[] = [];
  const unique = [...new Set(keys)];
  for (let at = 0; at < unique.length; at += BATCH_SIZE) {
    const batch = unique.slice(at, at + BATCH_SIZE);
    // One object needs no list of them.
    const left = batch.length === 1 || context.learned.lacksBatchDelete
      ? batch
      : await deleteBatch(context, { keys: batch, signal, failures });
    await deleteSingly(context, { keys: left, signal, failures });
  }
  if (failures.length > 0) throw failures[0];
}

interface DeleteJob {
  readonly keys: readonly string[];
  readonly signal: AbortSignal | undefined;
  /** Filled. */
  readonly failures: unknown[];
}

/** @returns the keys that are worth another try one by one */
async function deleteBatch(
  context: S3Context,
  { keys, signal, failures }: DeleteJob,
): Promise<readonly string[]> {
  const { connection, bucket, learned } = context;
  const body = new TextEncoder().encode(deleteBody(keys));
  try {
    const refused = await connection.send<ReturnType<typeof parseDeleteResult> | "unknown">({
      doing: `delete ${keys.length} objects of ${describePlace(bucket, "")}`,
      right: "s3:DeleteObject",
      method: "POST",
      query: { delete: "" },
      // The one request for which most servers insist on it.
      headers: { "content-type": "application/xml", "content-md5": toBase64(md5(body)) },
      body,
      signal,
      read: async (exchange) => parseDeleteResult(await exchange.text()),
      onRefusal: ({ status, code }) =>
        status === 501 || status === 405 || UNKNOWN_CODES.has(code) ? "unknown" : undefined,
    });
    countOperation(context, { operation: "DELETE" });
    if (refused === "unknown") {
      learned.lacksBatchDelete = true;
      return keys;
    }
    // A server that names nothing, or something else, must not choose what is deleted.
    const asked = new Set(keys);
    const again = refused.filter(({ key, code, message }) =>
      asked.has(key) && reactTo({ status: 200, code, message }).act === "retry"
    );
    const final = refused.filter((one) => !again.includes(one) && one.code !== "NoSuchKey");
    if (final.length > 0) failures.push(batchError(bucket, final));
    return again.map(({ key }) => key);
  } catch (error) {
    signal?.throwIfAborted();
    failures.push(error);
    return [];
  }
}

async function deleteSingly(context: S3Context, { keys, signal, failures }: DeleteJob): Promise<void> {
  const { connection, bucket } = context;
  const semaphore = new Semaphore(PARALLEL);
  await Promise.all(keys.map(async (key) => {
    using _ = await semaphore.acquire({ signal });
    try {
      await connection.send<void | null>({
        doing: `delete ${describePlace(bucket, key)}`,
        right: "s3:DeleteObject",
        method: "DELETE",
        key,
        signal,
        read: () => Promise.resolve(),
        onRefusal: (refused) => isMissingObject(refused) ? null : undefined,
      });
      countOperation(context, { operation: "DELETE" });
    } catch (error) {
      signal?.throwIfAborted();
      failures.push(error);
    }
  }));
}

function deleteBody(keys: readonly string[]): string {
  const objects = keys.map((key) => `<Object><Key>${escapeXml(key)}</Key></Object>`).join("");
  return `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>${objects}</Delete>`;
}

function batchError(
  bucket: string,
  failures: readonly { key: string; code: string; message: string }[],
): StoreError {
  const { key, code, message } = failures[0]!;
  const others = failures.length > 1 ? ` (and ${failures.length - 1} others)` : "";
  const isDenied = code === "AccessDenied";
  const hint = isDenied ? `; let these credentials do s3:DeleteObject on bucket "${bucket}"` : "";
  return new StoreError(`cannot delete ${describePlace(bucket, key)}: ${code} - ${message}${others}${hint}`, {
    isDenied,
  });
}
