/** The machine-readable reports of `deno test` and `bun test`. */
import { SaxesParser } from "saxes";

/** One test without tests inside it. */
export interface TestResult {
  readonly name: string;
  /** As the runner writes it, relative to the repository, without a leading `./`. */
  readonly file: string;
  readonly outcome: "passed" | "failed" | "skipped";
  /** Why it failed; empty otherwise. */
  readonly message: string;
}

/** Mutable while its element is open. */
interface OpenTest {
  name: string;
  file: string;
  outcome: TestResult["outcome"];
  message: string;
}

/**
 * The tests of a JUnit report in the order of the report.
 *
 * Deno names the file in `classname`, Bun in `file`. A suite's own counts are not looked at.
 *
 * @throws {Error} when the report is cut off or isn't XML
 */
export function parseJunitReport(xml: string): TestResult[] {
  const results: TestResult[] = [];
  let open: OpenTest | undefined;
  let text: string | undefined;
  const parser = new SaxesParser();
  parser.on("error", (error) => {
    throw error;
  });
  parser.on("opentag", ({ name, attributes }) => {
    if (name === "testcase") {
      const file = attributes["file"] ?? attributes["classname"] ?? "";
      open = {
        name: attributes["name"] ?? "",
        file: file.replace(/^\.\//, ""),
        outcome: "passed",
        message: "",
      };
    } else if (open !== undefined && (name === "failure" || name === "error")) {
      open.outcome = "failed";
      open.message = attributes["message"] ?? "";
      text = "";
    } else if (open !== undefined && name === "skipped") open.outcome = "skipped";
  });
  parser.on("text", (part) => {
    if (text !== undefined) text += part;
  });
  parser.on("closetag", ({ name }) => {
    if (open === undefined) return;
    if (name === "failure" || name === "error") {
      // The body repeats the message and goes on with the stack, which says where.
      const body = (text ?? "").trim();
      if (body !== "") open.message = body;
      text = undefined;
    } else if (name === "testcase") {
      results.push(open);
      open = undefined;
    }
  });
  parser.write(xml).close();
  return results;
}
