/** Tables and JSON of the commands that list something. */

/**
 * Rows under `header`, each column as wide as its widest cell and two blanks more, the last one as it is; with line
 * ends.
 */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) =>
    lines.reduce((width, line) => Math.max(width, line[column]!.length), 0) + 2
  );
  return lines.map((line) =>
    line.map((cell, column) => column === header.length - 1 ? cell : cell.padEnd(widths[column]!)).join("")
  ).join("\n") + "\n";
}

/** An array of objects for programs to read, with a line end. */
export function formatJson(values: readonly unknown[]): string {
  return JSON.stringify(values, null, 2) + "\n";
}

/** RFC 3339 in UTC, to the second. */
export function formatTime(at: Date): string {
  const text = at.toISOString();
  return `${text.slice(0, text.lastIndexOf("."))}Z`;
}
