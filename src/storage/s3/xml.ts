/** XML documents as trees: what S3 servers answer is small and plain, and must not be taken when it is cut off. */
import { SaxesParser } from "saxes";

/** An element without its attributes and namespace. */
export interface XmlElement {
  readonly name: string;
  /** All text directly inside. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface OpenElement {
  readonly name: string;
  text: string;
  readonly children: OpenElement[];
}

const DEEPEST = 20;

/**
 * The root element of a document.
 *
 * @throws {Error} when the document is empty, not well formed or not whole
 */
export function parseXml(text: string): XmlElement {
  const parser = new SaxesParser();
  const open: OpenElement[] = [];
  let root: OpenElement | undefined;
  parser.on("error", (error) => {
    throw new Error(`XML is damaged: ${error.message}`);
  });
  parser.on("opentag", ({ name }) => {
    if (open.length >= DEEPEST) throw new Error("XML is nested too deeply");
    const element: OpenElement = { name: name.slice(name.indexOf(":") + 1), text: "", children: [] };
    open.at(-1)?.children.push(element);
    root ??= element;
    open.push(element);
  });
  const addText = (part: string) => {
    const element = open.at(-1);
    if (element !== undefined) element.text += part;
  };
  parser.on("text", addText);
  parser.on("cdata", addText);
  parser.on("closetag", () => void open.pop());
  // While it completes a big upload a server sends spaces, so that the connection stays open.
  parser.write(text.trimStart()).close();
  if (root === undefined) throw new Error("XML is empty");
  return root;
}

/** The text of the first child with this name. */
export function childText(element: XmlElement, name: string): string | undefined {
  return element.children.find((child) => child.name === name)?.text;
}

/** All children with this name. */
export function childrenNamed(element: XmlElement, name: string): XmlElement[] {
  return element.children.filter((child) => child.name === name);
}

/** `text` as it may stand between two tags. */
export function escapeXml(text: string): string {
  return text.replace(/[&<>"'\r\n\t]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
