/** Durations as Go writes and reads them: `1h30m0s`, `1.5s`, `250ms`; reading also takes `d` and `w`. */

const NANOSECONDS_PER_MS = 1_000_000n;

/** How many nanoseconds `ms` is, exact for whole milliseconds of any size. */
export function toNanoseconds(ms: number): bigint {
  const whole = Math.trunc(ms);
  return BigInt(whole) * NANOSECONDS_PER_MS + BigInt(Math.round((ms - whole) * 1e6));
}

/** `value / unit` in decimal without trailing zeros. */
function formatFraction(value: bigint, { unit, digits }: { unit: bigint; digits: number }): string {
  const fraction = (value % unit).toString().padStart(digits, "0").replace(/0+$/, "");
  return `${value / unit}${fraction === "" ? "" : `.${fraction}`}`;
}

/** `durationMs` milliseconds as Go writes a duration: `0s`, `1.5µs`, `300ms`, `1m0s`, `25h1m1s`. */
export function formatGoDuration(durationMs: number): string {
  if (!Number.isFinite(durationMs)) return String(durationMs);
  const signed = toNanoseconds(durationMs);
  const value = signed < 0n ? -signed : signed;
  const sign = signed < 0n ? "-" : "";
  if (value === 0n) return "0s";
  if (value < 1_000n) return `${sign}${value}ns`;
  if (value < 1_000_000n) return `${sign}${formatFraction(value, { unit: 1_000n, digits: 3 })}µs`;
  if (value < 1_000_000_000n) return `${sign}${formatFraction(value, { unit: 1_000_000n, digits: 6 })}ms`;
  const seconds = formatFraction(value % 60_000_000_000n, { unit: 1_000_000_000n, digits: 9 });
  const minutes = value / 60_000_000_000n;
  if (minutes === 0n) return `${sign}${seconds}s`;
  if (minutes < 60n) return `${sign}${minutes}m${seconds}s`;
  return `${sign}${minutes / 60n}h${minutes % 60n}m${seconds}s`;
}

const UNIT_MS: Readonly<Record<string, number>> = {
  "ns": 1e-6,
  "us": 1e-3,
  "µs": 1e-3,
  "μs": 1e-3,
  "ms": 1,
  "s": 1_000,
  "m": 60_000,
  "h": 3_600_000,
  "d": 86_400_000,
  "w": 604_800_000,
};

/** Go's durations are 64-bit nanoseconds: about 292 years. */
const MAX_DURATION_MS = 2 ** 63 / 1e6;

/**
 * The milliseconds that `text` writes: signs, fractions and several units as in Go (`-1.5h`, `1h30m`), and also
 * days and weeks (`7d`).
 *
 * @throws {Error} with Go's text when it isn't a duration
 */
export function parseGoDuration(text: string): number {
  const [, sign, rest] = /^([-+]?)(.*)$/s.exec(text)!;
  if (rest === "0") return 0;
  if (rest === "") throw new Error(`time: invalid duration ${JSON.stringify(text)}`);
  const part = /(\d+\.?\d*|\.\d+)([^\d.]*)/y;
  let durationMs = 0;
  while (part.lastIndex < rest!.length) {
    const match = part.exec(rest!);
    if (match === null) throw new Error(`time: invalid duration ${JSON.stringify(text)}`);
    const [, amount, unit] = match;
    if (unit === "") throw new Error(`time: missing unit in duration ${JSON.stringify(text)}`);
    const unitMs = Object.hasOwn(UNIT_MS, unit!) ? UNIT_MS[unit!] : undefined;
    if (unitMs === undefined) {
      throw new Error(`time: unknown unit ${JSON.stringify(unit)} in duration ${JSON.stringify(text)}`);
    }
    // 1e-6 has no exact double: dividing keeps `3ns` at 3e-6.
    durationMs += unitMs < 1 ? Number(amount) / Math.round(1 / unitMs) : Number(amount) * unitMs;
  }
  if (durationMs >= MAX_DURATION_MS) throw new Error(`time: invalid duration ${JSON.stringify(text)}`);
  return sign === "-" ? -durationMs : durationMs;
}
