/** A set of page numbers at one bit each, in memory for the stretches that are used. */
export class PageSet {
  readonly #stretches = new Map<number, Uint32Array>();
  #highest = 0;

  /** Add a page. */
  add(pageNumber: number): void {
    const at = Math.floor(pageNumber / STRETCH_PAGES);
    let stretch = this.#stretches.get(at);
    if (stretch === undefined) {
      stretch = new Uint32Array(STRETCH_PAGES / 32);
      this.#stretches.set(at, stretch);
    }
    const bit = pageNumber % STRETCH_PAGES;
    stretch[bit >>> 5]! |= 1 << (bit & 31);
    this.#highest = Math.max(this.#highest, pageNumber);
  }

  /** Whether a page is in it. */
  has(pageNumber: number): boolean {
    const bit = pageNumber % STRETCH_PAGES;
    const word = this.#stretches.get(Math.floor(pageNumber / STRETCH_PAGES))?.[bit >>> 5] ?? 0;
    return (word >>> (bit & 31) & 1) === 1;
  }

  /** Take out every page with a higher number. */
  deleteAfter(pageNumber: number): void {
    if (this.#highest <= pageNumber) return;
    const last = Math.floor(pageNumber / STRETCH_PAGES);
    for (const at of this.#stretches.keys()) if (at > last) this.#stretches.delete(at);
    const stretch = this.#stretches.get(last);
    for (let bit = pageNumber % STRETCH_PAGES + 1; stretch !== undefined && bit < STRETCH_PAGES; bit++) {
      stretch[bit >>> 5]! &= ~(1 << (bit & 31));
    }
    this.#highest = pageNumber;
  }
}

const STRETCH_PAGES = 32768;
