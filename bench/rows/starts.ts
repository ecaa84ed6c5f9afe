/** B11: what is over at once, if it is: `version`, listings, the first object after a start. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { listingReplica } from "../inputs.ts";
import { LISTED_GENERATION } from "../listing.ts";
import { measure, type Program } from "../process.ts";
import type { Cell, Side } from "../runner.ts";
import type { Row, Scene } from "../scene.ts";

const REPEAT = 10;

const INSERT = "INSERT INTO t (x) VALUES (randomblob(3000))";

function versionCell(): Cell {
  return {
    id: "B11/version",
    title: `version, the median of ${REPEAT} starts`,
    scale: 1,
    async run({ program }) {
      return { values: { ...await measure(program, ["version"], { repeat: REPEAT }) } };
    },
    prove: () => Promise.resolve(),
  };
}

/**
 * The lines of a table in one order. Of generations the name alone: their lag is another one each time, and walbrook counts
 * them from the first snapshot on (docs/DIFFERENCES.md, `start-of-generation`).
 */
function tableOf(program: Program, words: readonly string[]): string {
  const [command, ...args] = program.words;
  const { stdout, status, stderr } = spawnSync(command!, [...args, ...words], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`${program.name} ${words.join(" ")} ended with ${status}: ${stderr}`);
  const lines = stdout.split("\n").map((line) => line.trimEnd());
  if (words[0] !== "generations") return lines.sort().join("\n");
  return lines.map((line) => /\b[0-9a-f]{16}\b/.exec(line)?.[0] ?? "").sort().join("\n");
}

const listingSize = ({ isQuick }: Scene) => ({ generationCount: 5, segmentCount: isQuick ? 2000 : 10_000 });

function listingCell(scene: Scene, command: "generations" | "snapshots" | "wal"): Cell {
  const size = listingSize(scene);
  let words: string[] = [];
  return {
    id: `B11/list-${command}`,
    title: `${command} of a folder with ${size.generationCount} × ${size.segmentCount} segments`,
    scale: size.generationCount * size.segmentCount,
    without: ["peer05"],
    async prepare() {
      words = [command, `file://${await listingReplica(size)}`];
    },
    async run({ program }) {
      return { values: { ...await measure(program, words) } };
    },
    prove(sides) {
      const tables = sides.map(({ program }) => tableOf(program, words));
      if (tables[0] !== tables[1]) throw new Error(`the two tables of "${command}" differ`);
      return Promise.resolve();
    },
  };
}

/** What a replica of some age has besides: other generations, as links, which takes a second. */
function addHistory(objectsPath: string, history: string): void {
  mkdirSync(objectsPath, { recursive: true });
  const { status, stderr } = spawnSync("cp", ["-al", `${history}/generations`, objectsPath], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`cannot link ${history}: ${stderr}`);
}

/** A pattern for each beginning that generations of `listingReplica()` don't have: those are too many to look through. */
function untilNewSegment(pattern: string): string {
  const beginnings = Array.from(
    { length: 6 },
    (_, at) => `${LISTED_GENERATION.slice(0, at)}[!${LISTED_GENERATION[at]}]`,
  );
  return beginnings.map((start) => pattern.replace("generations/*", `generations/${start}*`)).join("|");
}

interface Start {
  readonly id: string;
  readonly title: string;
  /** Whether the program has been there before, and goes on where it was. */
  readonly isAgain: boolean;
  /** Whether its replica has many older segments besides. */
  readonly isAged?: boolean;
}

function firstSyncCell(scene: Scene, { id, title, isAgain, isAged = false }: Start): Cell {
  const name = id.replace("/", "-");
  const placeOf = (side: Side) => scene.place({ ground: scene.folders, name, side });
  const replicate = async (side: Side, count: number) => {
    const place = placeOf(side);
    const until = untilNewSegment(place.patternOf("segment"));
    return await measure(side.program, ["replicate", "-config", place.configPath], { until, count });
  };
  return {
    id,
    title,
    scale: 1,
    // Its replicas know no such generations.
    without: isAged ? ["peer05"] : [],
    async run(side) {
      const place = placeOf(side);
      place.reset();
      using application = new DatabaseSync(place.databasePath, { timeout: 5000 });
      application.exec(INSERT);
      if (!isAgain) return { values: { ...await replicate(side, 1) } };
      await replicate(side, 1);
      if (isAged) addHistory(place.objectsPath(), await listingReplica(listingSize(scene)));
      application.exec(INSERT);
      const isOwn = (path: string) => /\/(wal|0)\/[^/]*$/.test(path) && !path.includes(LISTED_GENERATION);
      return { values: { ...await replicate(side, place.objects().filter(isOwn).length + 1) } };
    },
    async prove(sides) {
      for (const side of sides) await placeOf(side).prove(sides);
      scene.forget(name);
    },
  };
}

/** All of them. */
export const starts: Row = (scene) => [
  versionCell(),
  listingCell(scene, "generations"),
  listingCell(scene, "snapshots"),
  listingCell(scene, "wal"),
  firstSyncCell(scene, {
    id: "B11/first-sync",
    title: "from the first start to the first segment of a small database in a folder",
    isAgain: false,
  }),
  firstSyncCell(scene, {
    id: "B11/restart",
    title: "from a start to the next segment of a database that was followed before",
    isAgain: true,
  }),
  firstSyncCell(scene, {
    id: "B11/restart-aged",
    title: `the same with 5 × ${listingSize(scene).segmentCount} older segments in the replica`,
    isAgain: true,
    isAged: true,
  }),
];
