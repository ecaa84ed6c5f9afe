/** A store that is down, slow, refuses, loses answers, shows old listings, or lies. */
import { Buffer } from "node:buffer";
import type { Fault as StoreFault, SeenRequest } from "../../servers/fault_proxy.ts";
import type { Scene, StoreFaultRule } from "../scene.ts";
import { type Fault, waitFor } from "./fault.ts";

function storeFault(name: string, ruleOf: (scene: Scene) => StoreFaultRule): Fault {
  return {
    name,
    isExclusive: false,
    needsStore: true,
    async run(scene) {
      using _ = scene.breakStore(ruleOf(scene));
      await waitFor(scene, [200, 3500]);
    },
  };
}

const refusal = (status: number, code: string): StoreFault => ({
  act: "answer",
  status,
  headers: { "content-type": "application/xml" },
  body:
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>made to fail</Message></Error>`,
});

/** As if the newest objects weren't there yet. */
function withoutNewest(xml: string): string {
  const entries = xml.match(/<Contents>.*?<\/Contents>/gs) ?? [];
  return entries.slice(-3).reduce((text, entry) => text.replace(entry, ""), xml);
}

/** The answer to a PUT that was thrown away; the client compares MD5 sums. */
function lie({ method, headers, path }: SeenRequest): StoreFault | undefined {
  const md5 = headers["content-md5"];
  if (method !== "PUT" || typeof md5 !== "string" || path.includes("uploadId")) return undefined;
  const etag = `"${Buffer.from(md5, "base64").toString("hex")}"`;
  return { act: "answer", status: 200, headers: { etag } };
}

export const STORE_FAULTS: readonly Fault[] = [
  storeFault("store-down", () => () => ({ act: "drop" })),
  storeFault("store-500", ({ chance }) => {
    const share = chance.pick([0.3, 1]);
    return () => chance.happens(share) ? refusal(500, "InternalError") : undefined;
  }),
  storeFault("store-503", () => () => refusal(503, "SlowDown")),
  storeFault("store-403", () => () => refusal(403, "AccessDenied")),
  storeFault("store-slow", ({ chance }) => () => ({ act: "delay", beforeMs: chance.between([50, 1500]) })),
  storeFault("store-silent", ({ chance }) => () => chance.happens(0.2) ? { act: "silence" } : undefined),
  storeFault(
    "store-loses-answers",
    ({ chance }) => (request) =>
      request.kind === "PUT" && chance.happens(0.5) ? { act: "lose-answer" } : undefined,
  ),
  storeFault(
    "store-corrupts",
    ({ chance }) => ({ kind }) =>
      chance.happens(0.3) ? { act: "corrupt", which: kind === "PUT" ? "request" : "response" } : undefined,
  ),
  storeFault(
    "store-cuts",
    ({ chance }) => () =>
      chance.happens(0.3) ? { act: "cut", after: chance.below(300), how: "close" } : undefined,
  ),
  storeFault(
    "store-old-listing",
    () => ({ kind }) => kind === "LIST" ? { act: "body", change: withoutNewest } : undefined,
  ),
  {
    name: "store-lies",
    isExclusive: false,
    needsStore: true,
    async run(scene) {
      for (const replica of scene.replicas) if (replica.place.type === "s3") replica.isSpoiled = true;
      using _ = scene.breakStore((request) => scene.chance.happens(0.3) ? lie(request) : undefined);
      await waitFor(scene, [200, 1500]);
    },
  },
];
