/**
 * Names of hosts, looked up before requests go there. On Deno a lookup keeps one of the 32 threads that files are read and
 * written with too until it has ended, whoever still waits for it: ten seconds and more where the name server is silent.
 */
import { orAbort, Semaphore } from "../async.ts";
import { environmentVariable } from "./process.ts";
import { systemCode } from "./system_code.ts";

/** Lookups of all hosts together; of one host there is one. */
const AT_ONCE = 8;

/** The first requests of a process go without, since a command with a host or two needn't load what looks names up. */
const UNCHECKED_COUNT = 4;

/** Resolves where there is such a host. */
export type LookUp = (hostname: string) => Promise<unknown>;

/** Which names were found, and the lookups of those that weren't yet. */
export class HostNames {
  readonly #lookUp: LookUp;
  readonly #places = new Semaphore(AT_ONCE);
  readonly #found = new Set<string>();
  readonly #lookups = new Map<string, Promise<void>>();
  #uncheckedCount = UNCHECKED_COUNT;

  constructor(lookUp: LookUp) {
    this.#lookUp = lookUp;
  }

  /**
   * Resolves once a request may go there. Who waits for the same name shares one lookup, which goes on when he no longer
   * waits.
   *
   * @throws what the lookup failed with, or the signal's reason
   */
  async find(hostname: string, { signal }: { signal?: AbortSignal | undefined } = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.#found.has(hostname) || isAddress(hostname)) return;
    if (this.#uncheckedCount > 0) return void this.#uncheckedCount--;
    const lookup = this.#lookups.get(hostname) ?? this.#begin(hostname);
    await (signal === undefined ? lookup : orAbort(lookup, signal));
  }

  /** A host has answered. */
  noteFound(hostname: string): void {
    this.#found.add(hostname);
  }

  /** No answer came, and it may be for the name. */
  forget(hostname: string): void {
    this.#found.delete(hostname);
  }

  #begin(hostname: string): Promise<void> {
    const lookup = this.#look(hostname).finally(() => this.#lookups.delete(hostname));
    this.#lookups.set(hostname, lookup);
    return lookup;
  }

  async #look(hostname: string): Promise<void> {
    using _place = await this.#places.acquire();
    await this.#lookUp(hostname);
    this.#found.add(hostname);
  }
}

/** Nothing is looked up for these. */
function isAddress(hostname: string): boolean {
  return /^[\d.]+$|^\[/.test(hostname);
}

let shared: HostNames | undefined;

/**
 * Of the whole process. `undefined` on Bun, whose lookups have threads of their own, and where there is or may be a proxy,
 * which looks names up that we may not know.
 */
export function sharedHostNames(): HostNames | undefined {
  if (!("Deno" in globalThis) || isProxied()) return undefined;
  return shared ??= new HostNames(lookUpName);
}

async function lookUpName(hostname: string): Promise<void> {
  const { lookup } = await import("node:dns/promises");
  try {
    await lookup(hostname);
  } catch (error) {
    // Whoever runs Deno lets requests go to a port there, and names not be looked up.
    if (systemCode(error) !== "EPERM") throw error;
  }
}

function isProxied(): boolean {
  try {
    return ["http_proxy", "https_proxy", "all_proxy"]
      .some((name) => environmentVariable(name) || environmentVariable(name.toUpperCase()));
  } catch {
    return true; // Deno may not tell us.
  }
}
