/** Moments as people write them on a command line. */
import { parseGoDuration } from "../duration.ts";
import { UsageError } from "../errors.ts";

/**
 * A moment: in RFC 3339, or `now`, or how long ago it was (`10m ago`, `1h30m ago`, `2d ago`).
 *
 * @throws {UsageError} for anything else
 */
export function parseMoment(text: string, { now = new Date() }: { now?: Date } = {}): Date {
  if (text === "now") return now;
  const duration = /^(\S+) +ago$/.exec(text)?.[1];
  if (duration === undefined) return parseTimestamp(text);
  const at = new Date(now.getTime() - agoMs(duration, text));
  if (at.getTime() >= 0) return at;
  throw new UsageError(`invalid -timestamp ${JSON.stringify(text)}: that is before 1970`);
}

function agoMs(duration: string, text: string): number {
  try {
    const ms = parseGoDuration(duration);
    if (ms >= 0) return ms;
  } catch {
    // The same words for all that is no duration.
  }
  throw new UsageError(`invalid -timestamp ${JSON.stringify(text)}: write how long ago as 10m, 1h30m or 2d`);
}

/**
 * A moment in RFC 3339 with its zone. Digits beyond milliseconds are cut off.
 *
 * @throws {UsageError} for anything else, and for a day or an hour that doesn't exist
 */
export function parseTimestamp(text: string, { flag = "timestamp" }: { flag?: string } = {}): Date {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:[.,](\d+))?(?:Z|([-+])(\d\d):(\d\d))$/.exec(text);
  const [, day, time, fraction = "", sign, zoneHours = "00", zoneMinutes = "00"] = match ?? [];
  const written = `${day}T${time}.${fraction.slice(0, 3).padEnd(3, "0")}Z`;
  const at = new Date(written);
  // A day that doesn't exist is either no date or another day.
  const isReal = match !== null && !Number.isNaN(at.getTime()) && at.toISOString() === written &&
    Number(zoneHours) < 24 && Number(zoneMinutes) < 60;
  if (!isReal) {
    throw new UsageError(
      `invalid -${flag}, must specify in ISO 8601 format (e.g. 2000-01-01T00:00:00Z)`,
    );
  }
  const zoneMs = (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000;
  return new Date(at.getTime() + (sign === "-" ? zoneMs : -zoneMs));
}
