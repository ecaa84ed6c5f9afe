/** The line on a terminal for a transfer that tells how far it is in all. */
import type { Output } from "./command.ts";
import { ProgressLine } from "./progress.ts";
import { errorTerminalColumns, isErrorTerminal } from "../runtime/process.ts";

/** Stored bytes, of all objects together. */
interface Transfer {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

/** Pass `tell` on as a callback; `using` wipes the line away at the end. */
export function transferProgress(
  label: string,
  output: Output,
): Disposable & { readonly tell: (transfer: Transfer) => void } {
  let line: ProgressLine | undefined;
  let before = 0;
  return {
    tell({ doneBytes, totalBytes }) {
      line ??= new ProgressLine({
        label,
        totalBytes,
        isTerminal: isErrorTerminal(),
        columns: errorTerminalColumns(),
        write: output.writeStatus ?? output.writeError,
      });
      line.add(doneBytes - before);
      before = doneBytes;
    },
    [Symbol.dispose]: () => line?.[Symbol.dispose](),
  };
}
