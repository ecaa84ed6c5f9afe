import { setTimeout as delay } from "node:timers/promises";
import type { Scene } from "../scene.ts";

/** Something that goes wrong, and is mended by itself. */
export interface Fault {
  readonly name: string;
  /** Nothing else is out of order meanwhile. */
  readonly isExclusive: boolean;
  /** Rounds without S3 leave it out. */
  readonly needsStore?: boolean;
  /** Rounds without a small disk leave it out. */
  readonly needsSmallDisk?: boolean;
  /** Left out where nothing can be mounted. */
  readonly needsMount?: boolean;
  /** Break it, wait, mend it. */
  run(scene: Scene): Promise<void>;
}

/** Wait for a time of the range, milliseconds. */
export async function waitFor(scene: Scene, range: readonly [number, number]): Promise<void> {
  await delay(scene.chance.between(range));
}
