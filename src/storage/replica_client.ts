/** A replica in the layout of 0.3 on any object store: lists and keys; what the bytes mean is the codec's. */
import { comparePositions, isGeneration } from "../position.ts";
import {
  generationPrefix,
  GENERATIONS_PREFIX,
  parseSegmentName,
  parseSnapshotName,
  segmentsPrefix,
  snapshotsPrefix,
} from "./keys.ts";
import type { ObjectInfo, ObjectStore, StoreOptions } from "./object_store.ts";

/** A stored snapshot: the database with all WAL before `index` applied. */
export interface SnapshotInfo extends ObjectInfo {
  readonly generation: string;
  readonly index: number;
}

/** A stored WAL segment: the bytes of `index` from `offset` on. */
export interface SegmentInfo extends ObjectInfo {
  readonly generation: string;
  readonly index: number;
  readonly offset: number;
}

/** One destination of one database. */
export class ReplicaClient {
  constructor(readonly store: ObjectStore, readonly name: string = store.type) {}

  /** The generations that the replica has, sorted by name. */
  async generations(options: StoreOptions = {}): Promise<string[]> {
    return (await this.store.listFolders(GENERATIONS_PREFIX, options)).filter(isGeneration).sort();
  }

  /** The snapshots of a generation by rising index; none when there is no such generation. */
  async snapshots(generation: string, options: StoreOptions = {}): Promise<SnapshotInfo[]> {
    const found: SnapshotInfo[] = [];
    const prefix = snapshotsPrefix(generation);
    for await (const object of this.store.list(prefix, options)) {
      const index = parseSnapshotName(object.key.slice(prefix.length));
      if (index !== undefined) found.push({ ...object, generation, index });
    }
    return found.sort((left, right) => left.index - right.index);
  }

  /** The WAL segments of a generation by rising index and offset. */
  async segments(generation: string, options: StoreOptions = {}): Promise<SegmentInfo[]> {
    const found: SegmentInfo[] = [];
    const prefix = segmentsPrefix(generation);
    for await (const object of this.store.list(prefix, options)) {
      const at = parseSegmentName(object.key.slice(prefix.length));
      if (at !== undefined) found.push({ ...object, generation, ...at });
    }
    return found.sort(comparePositions);
  }

  /** Delete a generation with all its objects. */
  async deleteGeneration(generation: string, options: StoreOptions = {}): Promise<void> {
    const keys: string[] = [];
    for await (const object of this.store.list(generationPrefix(generation), options)) keys.push(object.key);
    await this.store.delete(keys, options);
  }
}
