import { type ListingPage, parseListing } from "./answers.ts";
import { countOperation, describePlace, type S3Context } from "./context.ts";

/** Pages of what lies under `prefix` (in the bucket); with a delimiter, what lies directly under it. */
export async function* listPages(
  context: S3Context,
  { prefix, delimiter, after, signal }: {
    prefix: string;
    delimiter?: "/";
    /** Begin behind this key. */
    after?: string | undefined;
    signal: AbortSignal | undefined;
  },
): AsyncGenerator<ListingPage> {
  let next: ListingPage["next"] = after === undefined ? undefined : { startAfter: after };
  do {
    const page: ListingPage = await context.connection.send({
      doing: `list ${describePlace(context.bucket, prefix)}`,
      right: "s3:ListBucket",
      method: "GET",
      query: {
        "list-type": "2",
        prefix,
        ...(delimiter === undefined ? {} : { delimiter }),
        // A foreign key may have characters that XML can't.
        "encoding-type": "url",
        ...pageQuery(next),
      },
      signal,
      read: async (exchange) => parseListing(await exchange.text()),
    });
    countOperation(context, { operation: "LIST" });
    yield page;
    if (page.next !== undefined && JSON.stringify(page.next) === JSON.stringify(next)) {
      throw new Error(
        `cannot list ${describePlace(context.bucket, prefix)}: the server gives the same page again`,
      );
    }
    next = page.next;
  } while (next !== undefined);
}

function pageQuery(next: ListingPage["next"]): Record<string, string> {
  if (next === undefined) return {};
  return "token" in next ? { "continuation-token": next.token } : { "start-after": next.startAfter };
}
