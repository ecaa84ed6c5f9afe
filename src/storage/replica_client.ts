/** A replica in the layout of 0.3 on any object store: lists and keys; what the bytes mean is the codec's. */
import type { Cipher } from "../cipher.ts";
import { comparePositions, formatIndex, isGeneration, type Position } from "../position.ts";
import {
  generationPrefix,
  GENERATIONS_PREFIX,
  parseSegmentName,
  parseSnapshotName,
  segmentsPrefix,
  snapshotsPrefix,
} from "./keys.ts";
import { type GenerationTimes, GenerationTimesSweep } from "./generation_times.ts";
import type { ObjectInfo, ObjectStore, StoreOptions } from "./object_store.ts";
import { visitInOrder, visitObjects } from "./visit_objects.ts";

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

/** Objects that a server lists in one answer. */
const PAGE_COUNT = 1000;

/** What a generation has: all snapshots and all segments. */
export interface GenerationObjects {
  readonly generation: string;
  readonly snapshots: SnapshotInfo[];
  readonly segments: SegmentInfo[];
}

/** What is newest in a generation. */
export interface NewestObjects {
  readonly snapshot: SnapshotInfo | undefined;
  /** By rising index and offset; the newest one is among them. */
  readonly segments: readonly SegmentInfo[];
  /** Whether `segments` are all that there are. */
  readonly isWhole: boolean;
}

/** What tells from when to when a generation reaches. */
export interface GenerationEnds {
  readonly firstSnapshot: SnapshotInfo | undefined;
  readonly lastSnapshot: SnapshotInfo | undefined;
  readonly lastSegment: SegmentInfo | undefined;
}

/** One destination of one database. */
export class ReplicaClient {
  /** What its objects are encrypted with; absent: they are not. Whoever reads passes it to the codec. */
  readonly cipher: Cipher | undefined;

  constructor(
    readonly store: ObjectStore,
    readonly name: string = store.type,
    { cipher }: { cipher?: Cipher | undefined } = {},
  ) {
    this.cipher = cipher;
  }

  /**
   * Store an object, encrypted if the replica is. Everything that a replica holds is written here.
   *
   * @throws {EncryptionError} when the replica has keys to read with alone
   */
  async put(
    key: string,
    body: Uint8Array | ReadableStream<Uint8Array>,
    options: StoreOptions = {},
  ): Promise<ObjectInfo> {
    const { cipher } = this;
    if (cipher === undefined) return await this.store.put(key, body, options);
    const sealed = body instanceof Uint8Array ? await cipher.encryptBytes(body) : cipher.encrypt(body);
    return await this.store.put(key, sealed, options);
  }

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

  /** The WAL segments of a generation by rising index and offset; none of an index below `fromIndex`. */
  async segments(
    generation: string,
    { fromIndex = 0, ...options }: StoreOptions & { fromIndex?: number } = {},
  ): Promise<SegmentInfo[]> {
    const found: SegmentInfo[] = [];
    const prefix = segmentsPrefix(generation);
    const after = fromIndex === 0 ? {} : { after: `${prefix}${formatIndex(fromIndex)}` };
    await visitObjects(this.store, prefix, {
      ...options,
      ...after,
      visit({ key, size, createdAt }) {
        const at = parseSegmentName(key.slice(prefix.length));
        if (at === undefined || at.index < fromIndex) return;
        // Field by field: three times as fast as copying them, of which there may be many.
        found.push({ key, size, createdAt, generation, index: at.index, offset: at.offset });
      },
    });
    return found.sort(comparePositions);
  }

  /**
   * From when to when the objects of a generation came to be. As `objects()`, in one listing where that does, but nothing is
   * kept.
   *
   * @returns `undefined` for a generation whose objects are all gone
   */
  async times(generation: string, options: StoreOptions = {}): Promise<GenerationTimes | undefined> {
    if (this.store.type !== "file") {
      const sweep = new GenerationTimesSweep(generation);
      const visit = (object: ObjectInfo) => sweep.add(object);
      if (await visitInOrder(this.store, generationPrefix(generation), { ...options, visit })) {
        return sweep.times;
      }
    }
    const sweep = new GenerationTimesSweep(generation);
    const visit = (object: ObjectInfo) => sweep.add(object);
    await visitObjects(this.store, snapshotsPrefix(generation), { ...options, visit });
    if (this.store.visitTimes === undefined) {
      await visitObjects(this.store, segmentsPrefix(generation), { ...options, visit });
    } else {
      await this.store.visitTimes(segmentsPrefix(generation), {
        ...options,
        isWanted: (name) => sweep.countsSegment(name),
        visit: (createdMs) => sweep.addTime(createdMs),
      });
    }
    return sweep.times;
  }

  /**
   * The ends of a generation without a look at what lies between, which is nearly everything.
   *
   * @returns `undefined` where the store has all for the price of its keys, and when what was an end is gone: list it then
   */
  async ends(generation: string, options: StoreOptions = {}): Promise<GenerationEnds | undefined> {
    const { store } = this;
    if (store.listKeys === undefined || store.look === undefined) return undefined;
    const snapshots = (await store.listKeys(snapshotsPrefix(generation), options))
      .flatMap((key) => snapshotAt({ key }, generation) ?? [])
      .sort((left, right) => left.index - right.index);
    let segment: (Position & { readonly key: string }) | undefined;
    for (const key of await store.listKeys(segmentsPrefix(generation), options)) {
      const next = segmentAt({ key }, generation);
      if (next !== undefined && (segment === undefined || comparePositions(next, segment) > 0)) {
        segment = next;
      }
    }
    let isGone = false;
    const look = async <T extends { readonly key: string }>(end: T | undefined) => {
      if (end === undefined) return undefined;
      const object = await store.look!(end.key, options);
      isGone ||= object === undefined;
      return object && { ...end, ...object };
    };
    const [firstSnapshot, lastSnapshot] = [await look(snapshots[0]), await look(snapshots.at(-1))];
    const lastSegment = await look(segment);
    return isGone ? undefined : { firstSnapshot, lastSnapshot, lastSegment };
  }

  /**
   * All snapshots, then all segments of a generation: what a listed snapshot needs is listed too, since a snapshot
   * appears after the WAL up to it. Stores that list by name, snapshots before WAL, are asked once.
   */
  async objects(
    generation: string,
    options: StoreOptions = {},
  ): Promise<{ snapshots: SnapshotInfo[]; segments: SegmentInfo[] }> {
    // Walking through folders, in whatever order, costs nothing to do in two parts.
    if (this.store.type !== "file") {
      const snapshots: SnapshotInfo[] = [];
      const segments: SegmentInfo[] = [];
      const visit = (object: ObjectInfo) => {
        const snapshot = snapshotAt(object, generation);
        const segment = segmentAt(object, generation);
        if (snapshot !== undefined) snapshots.push(snapshot);
        if (segment !== undefined) segments.push(segment);
      };
      if (await visitInOrder(this.store, generationPrefix(generation), { ...options, visit })) {
        return { snapshots, segments };
      }
    }
    const snapshots = await this.snapshots(generation, options);
    return { snapshots, segments: await this.segments(generation, options) };
  }

  /**
   * The same of every generation, by name, or only of `wanted`. Stores that list by name are asked once for all of it:
   * asking for the names of the generations first would be one way there and back more.
   */
  async allObjects(
    { wanted, ...options }: StoreOptions & { wanted?: string | undefined } = {},
  ): Promise<GenerationObjects[]> {
    if (wanted !== undefined) {
      return isGeneration(wanted) ? [{ generation: wanted, ...await this.objects(wanted, options) }] : [];
    }
    if (this.store.type !== "file") {
      const found = new Map<string, GenerationObjects>();
      const visit = (object: ObjectInfo) => addObject(found, object);
      if (await visitInOrder(this.store, GENERATIONS_PREFIX, { ...options, visit })) {
        return [...found.values()];
      }
    }
    const all: GenerationObjects[] = [];
    for (const generation of await this.generations(options)) {
      all.push({ generation, ...await this.objects(generation, options) });
    }
    return all;
  }

  /**
   * The newest snapshot and the newest segments of a generation, with the fewest requests: one for a short history,
   * two for a long one whose newest index is known.
   *
   * @param options.fromIndex where the newest segment of a long history is looked for first
   */
  async newest(
    generation: string,
    { fromIndex, ...options }: StoreOptions & { fromIndex: number },
  ): Promise<NewestObjects> {
    const snapshots: SnapshotInfo[] = [];
    const segments: SegmentInfo[] = [];
    const keys: string[] = [];
    for await (const object of this.store.list(generationPrefix(generation), options)) {
      const snapshot = snapshotAt(object, generation);
      const segment = segmentAt(object, generation);
      if (snapshot !== undefined) snapshots.push(snapshot);
      if (segment !== undefined) segments.push(segment);
      if (keys.push(object.key) === PAGE_COUNT) break;
    }
    if (keys.length < PAGE_COUNT) return newestOf({ snapshots, segments, isWhole: true });
    // Stores that list by name have given all snapshots by now.
    const isSorted = keys.every((key, at) => at === 0 || keys[at - 1]! < key);
    const all = isSorted && segments.length > 0 ? snapshots : await this.snapshots(generation, options);
    const late = await this.segments(generation, { ...options, fromIndex });
    if (late.length > 0) return newestOf({ snapshots: all, segments: late, isWhole: fromIndex === 0 });
    return newestOf({ snapshots: all, segments: await this.segments(generation, options), isWhole: true });
  }

  /** Delete a generation with all its objects. */
  async deleteGeneration(generation: string, options: StoreOptions = {}): Promise<void> {
    const keys: string[] = [];
    for await (const object of this.store.list(generationPrefix(generation), options)) keys.push(object.key);
    await this.store.delete(keys, options);
  }
}

/** Take a listed object in, if it is one of a generation. */
function addObject(found: Map<string, GenerationObjects>, object: ObjectInfo): void {
  const generation = object.key.slice(GENERATIONS_PREFIX.length).split("/", 1)[0]!;
  if (!isGeneration(generation)) return;
  const snapshot = snapshotAt(object, generation);
  const segment = snapshot === undefined ? segmentAt(object, generation) : undefined;
  if (snapshot === undefined && segment === undefined) return;
  const known = found.get(generation) ?? { generation, snapshots: [], segments: [] };
  found.set(generation, known);
  if (snapshot !== undefined) known.snapshots.push(snapshot);
  if (segment !== undefined) known.segments.push(segment);
}

function snapshotAt<T extends { readonly key: string }>(object: T, generation: string) {
  const prefix = snapshotsPrefix(generation);
  const index = object.key.startsWith(prefix)
    ? parseSnapshotName(object.key.slice(prefix.length))
    : undefined;
  return index === undefined ? undefined : { ...object, generation, index };
}

function segmentAt<T extends { readonly key: string }>(object: T, generation: string) {
  const prefix = segmentsPrefix(generation);
  const at = object.key.startsWith(prefix) ? parseSegmentName(object.key.slice(prefix.length)) : undefined;
  return at === undefined ? undefined : { ...object, generation, ...at };
}

function newestOf(
  { snapshots, segments, isWhole }: {
    snapshots: readonly SnapshotInfo[];
    segments: readonly SegmentInfo[];
    isWhole: boolean;
  },
): NewestObjects {
  const snapshot = snapshots.toSorted((left, right) => left.index - right.index).at(-1);
  return { snapshot, segments: segments.toSorted(comparePositions), isWhole };
}
