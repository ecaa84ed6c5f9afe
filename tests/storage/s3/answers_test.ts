import assert from "node:assert/strict";
import { test } from "node:test";
import {
  parseCompletion,
  parseDeleteResult,
  parseErrorDocument,
  parseListing,
  parsePendingUploads,
  parseUploadId,
} from "../../../src/storage/s3/answers.ts";
import { escapeXml, parseXml } from "../../../src/storage/s3/xml.ts";

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

function listing(inside: string): string {
  return `${DECLARATION}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>${inside}</ListBucketResult>`;
}

function contents(key: string, size: string | number = 5, at = "2024-05-01T10:11:12.000Z"): string {
  return `<Contents><Key>${key}</Key><LastModified>${at}</LastModified><ETag>&quot;x&quot;</ETag><Size>${size}</Size></Contents>`;
}

test("parseListing() reads objects, prefixes and how it goes on", () => {
  const page = parseListing(listing(
    `<IsTruncated>true</IsTruncated><NextContinuationToken>to&amp;ken</NextContinuationToken>${
      contents("a&amp;b", 7)
    }` +
      "<CommonPrefixes><Prefix>x/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>y/</Prefix></CommonPrefixes>",
  ));
  assert.deepEqual(page, {
    objects: [{ key: "a&b", size: 7, modifiedAt: new Date("2024-05-01T10:11:12Z") }],
    prefixes: ["x/", "y/"],
    next: { token: "to&ken" },
  });
});

test("parseListing() decodes keys only where the server says that it encoded them", () => {
  const key = (inside: string) => parseListing(listing(inside + contents("a%2Fb+c%01"))).objects[0]!.key;
  assert.equal(key("<EncodingType>url</EncodingType>"), "a/b c\u0001");
  assert.equal(key(""), "a%2Fb+c%01");
  assert.equal(
    parseListing(listing(`<EncodingType>url</EncodingType>${contents("100%")}`)).objects[0]!.key,
    "100%",
  );
});

test("parseListing() goes on by the last name where there is no token", () => {
  const next = (inside: string) => parseListing(listing(`<IsTruncated>True</IsTruncated>${inside}`)).next;
  assert.deepEqual(next(contents("a") + contents("b")), { startAfter: "b" });
  assert.deepEqual(next(`${contents("a")}<CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes>`), {
    startAfter: "c/",
  });
  assert.throws(() => next(""), /goes on but says not where/);
  assert.equal(parseListing(listing("<IsTruncated>false</IsTruncated>")).next, undefined);
});

test("parseListing() refuses a document that is cut at any byte", () => {
  const whole = listing(`<IsTruncated>false</IsTruncated>${contents("a")}`);
  for (let length = 0; length < whole.length; length++) {
    assert.throws(() => parseListing(whole.slice(0, length)), Error, `cut at ${length}`);
  }
  assert.equal(parseListing(whole).objects.length, 1);
});

for (
  const [name, inside] of [
    ["a size that is none", contents("a", "5x")],
    ["a negative size", contents("a", -1)],
    ["a time that is none", contents("a", 5, "yesterday")],
    ["an entry without a key", "<Contents><Size>1</Size></Contents>"],
    ["an unknown entity", contents("&secret;")],
    ["elements that cross", "<Contents><Key>a</Contents></Key>"],
  ] as const
) {
  test(`parseListing() refuses ${name}`, () => {
    assert.throws(() => parseListing(listing(inside)));
  });
}

test("parseListing() refuses another document and says which", () => {
  assert.throws(() => parseListing("<html><body/></html>"), /<html> instead of <ListBucketResult>/);
  assert.throws(() => parseListing("{}"), /XML/);
});

test("parseDeleteResult() gives the failures alone", () => {
  const text =
    `${DECLARATION}<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code>` +
    "<Message>no</Message></Error></DeleteResult>";
  assert.deepEqual(parseDeleteResult(text), [{ key: "b", code: "AccessDenied", message: "no" }]);
  assert.deepEqual(parseDeleteResult("<DeleteResult/>"), []);
});

test("parseCompletion() finds an error behind the spaces that keep the connection open", () => {
  const error = `   \n ${DECLARATION}<Error><Code>InternalError</Code><Message>m</Message></Error>`;
  assert.equal(parseCompletion(error).error!.code, "InternalError");
  assert.deepEqual(
    parseCompletion(
      ` ${DECLARATION}<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>`,
    ),
    {},
  );
  assert.throws(() => parseCompletion("   "), /XML/);
});

test("parseUploadId() and parsePendingUploads() read ids and where the list goes on", () => {
  assert.equal(
    parseUploadId("<InitiateMultipartUpload><UploadId>r</UploadId></InitiateMultipartUpload>"),
    "r",
  );
  assert.equal(
    parseUploadId("<InitiateMultipartUploadResult><UploadId>u-1</UploadId></InitiateMultipartUploadResult>"),
    "u-1",
  );
  const text = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>" +
    "<NextUploadIdMarker>u</NextUploadIdMarker><Upload><Key>k</Key><UploadId>u</UploadId>" +
    "<Initiated>2024-05-01T10:11:12Z</Initiated></Upload></ListMultipartUploadsResult>";
  assert.deepEqual(parsePendingUploads(text), {
    uploads: [{ key: "k", uploadId: "u", initiatedAt: new Date("2024-05-01T10:11:12Z") }],
    next: { keyMarker: "k", uploadIdMarker: "u" },
  });
});

test("parseErrorDocument() takes a page of something else for none", () => {
  assert.equal(parseErrorDocument("<html><h1>502</h1></html>"), undefined);
  assert.equal(parseErrorDocument(""), undefined);
  assert.equal(parseErrorDocument("<Error><Code>X</Code><Region>r</Region></Error>")!.region, "r");
});

test("parseXml() reads text, character data and references, and refuses nesting without end", () => {
  const root = parseXml("<s:a xmlns:s='u'><b>1 &lt; 2 &#x41;<![CDATA[<&]]></b></s:a>");
  assert.equal(root.name, "a");
  assert.equal(root.children[0]!.text, "1 < 2 A<&");
  assert.throws(() => parseXml("<a>".repeat(100) + "</a>".repeat(100)), /nested too deeply/);
});

test("escapeXml() writes what parseXml() reads back", () => {
  const text = "a&b<c>\"d'e\r\n\tü";
  assert.equal(parseXml(`<a>${escapeXml(text)}</a>`).text, text);
});
