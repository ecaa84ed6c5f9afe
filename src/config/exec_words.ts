/** The command of `exec` in words, split as a shell would, without a shell. */
import { UsageError } from "../errors.ts";

/** A command and its arguments. */
export interface ExecWords {
  /** The program and its arguments: at least one word. */
  readonly words: readonly string[];
  /** From the first unquoted `;`, `&`, `|`, `<` or `>` on: nothing of it runs. Absent where there is none. */
  readonly ignored?: string;
}

/** What is open at a character. Several can be: within backticks the other quotes still work. */
interface OpenQuotes {
  single: boolean;
  double: boolean;
  back: boolean;
  dollar: boolean;
}

/**
 * Split a command as Litestream 0.3 does. Blanks separate, `'…'` is literal, `"…"` groups, a backslash escapes outside
 * of `'…'`. Nothing is expanded or executed: `` `…` `` and `$(…)` stay as they are, blanks included.
 *
 * @throws {UsageError} when nothing is in it, a quote isn't closed or a parenthesis stands alone
 */
export function splitExecCommand(command: string): ExecWords {
  const words: string[] = [];
  const open: OpenQuotes = { single: false, double: false, back: false, dollar: false };
  let word = "";
  let isWord = false;
  let isEscaped = false;
  let ignored: string | undefined;
  for (let at = 0; at < command.length; at++) {
    const mark = command[at]!;
    if (isEscaped) {
      word += mark;
      isWord = true;
      isEscaped = false;
    } else if (mark === "\\" && !open.single) {
      isEscaped = true;
    } else if (/[ \t\r\n]/.test(mark) && !isAnyOpen(open)) {
      if (isWord) words.push(word);
      word = "";
      isWord = false;
    } else if (/[;&|<>]/.test(mark) && !isAnyOpen(open)) {
      // `2>file`: the number belongs to what is ignored.
      if (mark === ">" && /^[0-9]/.test(word)) isWord = false;
      ignored = command.slice(at);
      break;
    } else {
      const turned = turnQuote(open, { mark, word });
      if (turned !== "dropped") word += mark;
      // An opening quote alone is no word yet, a closed pair is one: ''.
      if (turned !== "dropped" || !(mark === "'" ? open.single : open.double)) isWord = true;
    }
  }
  if (isEscaped || isAnyOpen(open)) throw invalid();
  if (isWord) words.push(word);
  if (words.length === 0) throw new UsageError("exec command is blank: give a program and its arguments");
  return ignored === undefined ? { words } : { words, ignored };
}

function isAnyOpen({ single, double, back, dollar }: OpenQuotes): boolean {
  return single || double || back || dollar;
}

/** Open or close what `mark` opens or closes here, and tell whether it stays part of the word. */
function turnQuote(open: OpenQuotes, { mark, word }: { mark: string; word: string }): "kept" | "dropped" {
  if (mark === "'" && !open.double && !open.dollar) {
    open.single = !open.single;
    return "dropped";
  }
  if (mark === '"' && !open.single && !open.dollar) {
    open.double = !open.double;
    return "dropped";
  }
  if (open.single || open.double) return "kept";
  if (mark === "`" && !open.dollar) {
    open.back = !open.back;
  } else if (mark === "(" && !open.back) {
    if (open.dollar || !word.endsWith("$")) throw invalid();
    open.dollar = true;
  } else if (mark === ")" && !open.back) {
    if (!open.dollar) throw invalid();
    open.dollar = false;
  }
  return "kept";
}

function invalid(): UsageError {
  return new UsageError("cannot parse exec command: invalid command line string");
}
