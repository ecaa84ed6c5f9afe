/** A plot of lines as SVG; pure. */

/** One line. */
export interface Series {
  readonly name: string;
  /** In the order in which they are joined. */
  readonly points: readonly (readonly [number, number])[];
  /** Whether it is the one to look at. */
  readonly isOurs: boolean;
}

/** A plot. */
export interface Plot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

/** What is along one side. */
export interface Axis {
  readonly label: string;
  /** Equal steps are equal factors; nothing at or below 0 is drawn then. */
  readonly isLog?: boolean;
}

const WIDTH = 640;
const HEIGHT = 400;
const LEFT = 70;
const RIGHT = 24;
const TOP = 44;
const BOTTOM = 54;
const OURS = ["#0b6e4f", "#08a045", "#6bbf59"];
const THEIRS = ["#b23a48", "#d97b66", "#8c5e58"];

interface Scale {
  readonly ticks: readonly number[];
  /** 0 to 1. */
  place(value: number): number;
}

/** One, two or five times a power of ten, so that there are at most some six steps. */
function niceStep(range: number): number {
  const rough = range / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough) ?? 10 * power;
}

function linearScale(most: number): Scale {
  const step = niceStep(most > 0 ? most : 1);
  const end = Math.ceil(most / step - 1e-9) * step || step;
  const count = Math.round(end / step);
  return {
    ticks: Array.from({ length: count + 1 }, (_, at) => Number((at * step).toPrecision(12))),
    place: (value) => value / end,
  };
}

function logScale(least: number, most: number): Scale {
  const from = Math.floor(Math.log10(least) + 1e-9);
  const to = Math.max(from + 1, Math.ceil(Math.log10(most) - 1e-9));
  return {
    ticks: Array.from({ length: to - from + 1 }, (_, at) => Number((10 ** (from + at)).toPrecision(12))),
    place: (value) => (Math.log10(value) - from) / (to - from),
  };
}

function scaleOf({ isLog = false }: Axis, values: readonly number[]): Scale {
  const most = Math.max(...values);
  return isLog ? logScale(Math.min(...values), most) : linearScale(most);
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** Draw it. @throws {Error} when there is nothing to draw */
export function drawPlot({ title, x, y, series }: Plot): string {
  const isDrawn = ([at, value]: readonly [number, number]) => (!x.isLog || at > 0) && (!y.isLog || value > 0);
  const drawn = series.map((each) => ({ ...each, points: each.points.filter(isDrawn) }))
    .filter(({ points }) => points.length > 0);
  if (drawn.length === 0) throw new Error(`nothing to draw: ${title}`);
  const points = drawn.flatMap((each) => each.points);
  const across = scaleOf(x, points.map(([value]) => value));
  const up = scaleOf(y, points.map(([, value]) => value));
  const xOf = (value: number) => (LEFT + across.place(value) * (WIDTH - LEFT - RIGHT)).toFixed(1);
  const yOf = (value: number) => (HEIGHT - BOTTOM - up.place(value) * (HEIGHT - TOP - BOTTOM)).toFixed(1);
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="white"/>`,
    `<text x="${LEFT}" y="22" font-size="15">${escapeXml(title)}</text>`,
  ];
  for (const tick of across.ticks) {
    lines.push(
      `<line x1="${xOf(tick)}" x2="${xOf(tick)}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#ddd"/>`,
      `<text x="${xOf(tick)}" y="${HEIGHT - BOTTOM + 17}" text-anchor="middle">${tick}</text>`,
    );
  }
  for (const tick of up.ticks) {
    lines.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${yOf(tick)}" y2="${yOf(tick)}" stroke="#ddd"/>`,
      `<text x="${LEFT - 8}" y="${yOf(tick)}" text-anchor="end" dominant-baseline="middle">${tick}</text>`,
    );
  }
  lines.push(
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 14}" text-anchor="middle">${
      escapeXml(x.label)
    }</text>`,
    `<text transform="translate(16 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${
      escapeXml(y.label)
    }</text>`,
  );
  const used = { ours: 0, theirs: 0 };
  drawn.forEach(({ name, points, isOurs }, at) => {
    const colours = isOurs ? OURS : THEIRS;
    const colour = colours[(isOurs ? used.ours++ : used.theirs++) % colours.length]!;
    const path = points.map(([value, height]) => `${xOf(value)},${yOf(height)}`).join(" ");
    lines.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    // A distribution has too many points for dots.
    for (const [value, height] of points.length > 12 ? [] : points) {
      lines.push(`<circle cx="${xOf(value)}" cy="${yOf(height)}" r="3.5" fill="${colour}"/>`);
    }
    const top = TOP + 14 + at * 18;
    lines.push(
      `<line x1="${LEFT + 10}" x2="${LEFT + 34}" y1="${top - 4}" y2="${
        top - 4
      }" stroke="${colour}" stroke-width="3"/>`,
      `<text x="${LEFT + 40}" y="${top}">${escapeXml(name)}</text>`,
    );
  });
  return [...lines, "</svg>", ""].join("\n");
}
