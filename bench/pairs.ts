/** Two programs in turn, A B B A …, so that a machine whose speed drifts is fair to both. */
import { type Measured, median, type Program } from "./process.ts";

/** One job that both programs do. */
export interface PairedJob {
  readonly name: string;
  readonly ours: Program;
  readonly theirs: Program;
  /** Do the job once, from nothing. */
  readonly run: (program: Program) => Promise<Measured>;
}

/** Run `count` pairs after a warm-up, and print the medians and the ratio of each pair. */
export async function comparePairs(job: PairedJob, count: number): Promise<void> {
  const { ours, theirs, run } = job;
  await run(ours);
  await run(theirs);
  const pairs: { ours: Measured; theirs: Measured }[] = [];
  for (let number = 0; number < count; number++) {
    const isOursFirst = number % 2 === 0;
    const first = await run(isOursFirst ? ours : theirs);
    const second = await run(isOursFirst ? theirs : ours);
    pairs.push(isOursFirst ? { ours: first, theirs: second } : { ours: second, theirs: first });
  }
  const line = (label: string, of: (measured: Measured) => number, unit: string, digits: number) => {
    const ratios = pairs.map((pair) => of(pair.ours) / of(pair.theirs));
    const spread = `${Math.min(...ratios).toFixed(2)}…${Math.max(...ratios).toFixed(2)}`;
    const [our, their] = [
      median(pairs.map((pair) => of(pair.ours))),
      median(pairs.map((pair) => of(pair.theirs))),
    ];
    console.log(
      `  ${label.padEnd(5)}${our.toFixed(digits).padStart(9)} ${unit}  ${
        their.toFixed(digits).padStart(9)
      } ${unit}` +
        `   ratio ${median(ratios).toFixed(2)} (${spread})`,
    );
  };
  console.log(`${job.name}: ${ours.name}, ${theirs.name}, ${count} pairs`);
  line("wall", (measured) => measured.wallSeconds, "s ", 3);
  line("CPU", (measured) => measured.cpuSeconds, "s ", 3);
  line("RSS", (measured) => measured.peakBytes / 1e6, "MB", 1);
}
