/** Tables and JSON of the commands that list something. */
import { LineWriter } from "./line_writer.ts";

/**
 * Rows under `header`, each column as wide as its widest cell and two blanks more, the last one as it is; with line
 * ends.
 */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  // Loops: there may be a million rows, and a closure for each cell takes longer than the listing.
  const lastColumn = header.length - 1;
  const widths = header.map(({ length }) => length);
  for (const row of rows) {
    for (let column = 0; column < lastColumn; column++) {
      const { length } = row[column]!;
      if (length > widths[column]!) widths[column] = length;
    }
  }
  const writer = new LineWriter();
  const addLine = (cells: readonly string[]) => {
    for (let column = 0; column < lastColumn; column++) {
      const cell = cells[column]!;
      writer.add(cell);
      writer.addBlanks(widths[column]! + 2 - cell.length);
    }
    writer.add(cells[lastColumn]!);
    writer.add("\n");
  };
  addLine(header);
  for (const row of rows) addLine(row);
  return writer.text;
}

/** An array of objects for programs to read, with a line end. */
export function formatJson(values: readonly unknown[]): string {
  return JSON.stringify(values, null, 2) + "\n";
}

let minute = Number.NaN;
let minuteText = "";
let second = Number.NaN;
let secondText = "";

/** RFC 3339 in UTC, to the second. */
export function formatTime(at: Date): string {
  const seconds = Math.floor(at.getTime() / 1000);
  // Listings go from one second to the next: what was written for the one before, or for its minute, mostly holds.
  if (second === seconds) return secondText;
  if (minute !== Math.floor(seconds / 60)) {
    const text = at.toISOString();
    minuteText = text.slice(0, text.length - "00.000Z".length);
    minute = Math.floor(seconds / 60);
  }
  const rest = seconds - minute * 60;
  secondText = `${minuteText}${rest < 10 ? "0" : ""}${rest}Z`;
  second = seconds;
  return secondText;
}
