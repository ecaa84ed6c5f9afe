/** Rows of text that look like an application's, the same for the same seed. */
import { randomFrom } from "./random.ts";

const SYLLABLES =
  "a al an ar be ca ci co con da de di e en er es fa fi ga ge ha he i in ing ion ka la le li ly ma me mi na ne ni no o on or pa pe po ra re ri ro sa se si so sta ta te ter ti to tra u un ur va ve vi wa we"
    .split(" ");

/** Rows of words, names, addresses and times; words are chosen as in text, few often and most seldom. */
export class TextRows {
  readonly #random: () => number;
  readonly #words: string[] = [];
  #secondsSince2020 = 0;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    for (let count = 0; count < 8000; count++) {
      let word = "";
      const syllableCount = 1 + this.#below(4);
      for (let part = 0; part < syllableCount; part++) word += SYLLABLES[this.#below(SYLLABLES.length)];
      this.#words.push(word);
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #word(): string {
    return this.#words[Math.floor(this.#words.length * this.#random() ** 3)] ?? "";
  }

  #text(wordCount: number): string {
    let text = this.#word();
    for (let count = 1; count < wordCount; count++) {
      text += (this.#random() < 0.08 ? ", " : " ") + this.#word();
    }
    return text;
  }

  /** One row: when, by whom, state, title, body. */
  next(): [string, string, string, string, string] {
    this.#secondsSince2020 += this.#below(90);
    const at = new Date(Date.UTC(2020, 0) + this.#secondsSince2020 * 1000).toISOString();
    const author = `${this.#word()}.${this.#word()}${this.#below(1000)}@example.com`;
    const state = ["open", "closed", "waiting", "archived"][this.#below(4)] ?? "open";
    return [at, author, state, this.#text(4 + this.#below(5)), this.#text(20 + this.#below(120))];
  }
}
