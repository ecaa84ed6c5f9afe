import { describePlace, type S3Context } from "./context.ts";
import { isMissingObject } from "./failure.ts";
import { timeOf } from "./sending.ts";

/** What a server says of an object without giving it. */
export interface ObjectHead {
  readonly size: number;
  readonly modifiedAt: Date;
}

/** The head of an object; `undefined` when there is none. */
export async function headObject(
  { connection, bucket }: S3Context,
  { key, signal }: { key: string; signal: AbortSignal | undefined },
): Promise<ObjectHead | undefined> {
  const found = await connection.send<ObjectHead | "none">({
    doing: `look at ${describePlace(bucket, key)}`,
    right: "s3:GetObject",
    method: "HEAD",
    key,
    signal,
    read({ response: { headers } }) {
      const modifiedAt = new Date(headers.get("last-modified") ?? NaN);
      return Promise.resolve({
        size: Number(headers.get("content-length") ?? NaN),
        modifiedAt: Number.isNaN(modifiedAt.getTime()) ? timeOf(headers) : modifiedAt,
      });
    },
    onRefusal: (refused) => isMissingObject(refused) ? "none" : undefined,
  });
  return found === "none" ? undefined : found;
}
