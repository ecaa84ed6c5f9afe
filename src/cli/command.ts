/** What the commands and their dispatcher agree on. */

/** Where a command's words go; records go through the logger. */
export interface Output {
  /** Results: nothing of them is left out. */
  readonly writeOutput: (text: string) => void;
  readonly writeError: (text: string) => void;
  /** Log records to standard output, which nobody may keep us waiting with. Absent: as `writeOutput`. */
  readonly writeRecord?: (text: string) => void;
  /** A line on standard error that the next text wipes away. Absent: as `writeError`. */
  readonly writeStatus?: (text: string) => void;
}

/** One command. Its module imports little; what does the work is imported by `run()`. */
export interface Command {
  /** Shown at `-h` and after a flag that can't be read; ends in a line end. */
  readonly usage: string;
  /** The exit code when `run()` throws. Default 1. */
  readonly failureCode?: number;
  /**
   * @param args what follows the command's name
   * @returns the exit code
   * @throws {UsageError} before anything is done; {HelpRequest} at `-h`; any error, shown as one line
   */
  readonly run: (args: readonly string[], output: Output) => Promise<number>;
}
