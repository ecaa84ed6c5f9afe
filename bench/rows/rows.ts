/** Every row by its name. */
import type { Row } from "../scene.ts";
import { idle } from "./idle.ts";
import { lag, rotating } from "./lag.ts";
import { fullSpeed, steady } from "./load.ts";
import { outage } from "./outage.ts";
import { manySegments } from "./segments.ts";
import { starts } from "./starts.ts";
import { bucketSnapshots, encrypted, restores, snapshots } from "./transfers.ts";

/** In the order in which they run. */
export const ROWS: Readonly<Record<string, Row>> = {
  B1: snapshots,
  B2: bucketSnapshots,
  B3: restores,
  B4: manySegments,
  B5: lag,
  B6: steady,
  B7: fullSpeed,
  B8: idle,
  B9: rotating,
  B10: outage,
  B11: starts,
  B12: encrypted,
};
