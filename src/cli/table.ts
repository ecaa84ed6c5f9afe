/** Tables and JSON of the commands that list something. */

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
  const lineOf = (cells: readonly string[]) => {
    let line = "";
    for (let column = 0; column < lastColumn; column++) line += cells[column]!.padEnd(widths[column]! + 2);
    return line + cells[lastColumn]! + "\n";
  };
  let text = lineOf(header);
  for (const row of rows) text += lineOf(row);
  return text;
}

/** An array of objects for programs to read, with a line end. */
export function formatJson(values: readonly unknown[]): string {
  return JSON.stringify(values, null, 2) + "\n";
}

let minute = Number.NaN;
let minuteText = "";

/** RFC 3339 in UTC, to the second. */
export function formatTime(at: Date): string {
  const seconds = Math.floor(at.getTime() / 1000);
  // Listings go from one second to the next: what was written for the minute before mostly holds.
  if (minute !== Math.floor(seconds / 60)) {
    const text = at.toISOString();
    minuteText = text.slice(0, text.length - "00.000Z".length);
    minute = Math.floor(seconds / 60);
  }
  const second = seconds - minute * 60;
  return `${minuteText}${second < 10 ? "0" : ""}${second}Z`;
}
