/** What is to be seen of a run from outside: metrics, health, and a word in the log of what doesn't advance. */
import type { Logger } from "../logger.ts";
import { type Metrics, silentMetrics } from "../metrics.ts";
import type { HealthLimits } from "../replicate/health.ts";
import { HealthMonitor } from "../replicate/health_monitor.ts";
import type { Replicator } from "../replicate/replicator.ts";

/** What of a run is to be observed, and how. */
export interface ObserveOptions {
  /** Of the server, as configured; absent or empty: none. */
  readonly addr?: string | undefined;
  /** Default: `HEALTH_DEFAULTS`. */
  readonly limits?: Partial<HealthLimits> | undefined;
  readonly logger: Logger;
}

/** Made before the run's objects, which count into it. */
export interface Observer {
  readonly metrics: Metrics;
  /** Watch the run, and serve, until what is returned is disposed of. */
  watch(replicators: readonly Replicator[]): Promise<AsyncDisposable>;
}

/**
 * Without an `addr` nothing is counted, and the libraries for it are not even loaded.
 *
 * @throws {UsageError} when `addr` has no port
 */
export async function observe({ addr, limits, logger }: ObserveOptions): Promise<Observer> {
  const monitorOf = (replicators: readonly Replicator[]) =>
    new HealthMonitor({ replicators, limits, logger });
  if (addr === undefined || addr === "") {
    return {
      metrics: silentMetrics,
      watch: (replicators) => Promise.resolve(asyncOf(monitorOf(replicators))),
    };
  }
  const { parseBindAddress } = await import("../serve/bind_address.ts");
  const address = parseBindAddress(addr);
  const { MetricsRegistry } = await import("../serve/metrics_registry.ts");
  const { serve } = await import("../serve/serve.ts");
  const registry = new MetricsRegistry();
  return {
    metrics: registry,
    async watch(replicators) {
      await using stack = new AsyncDisposableStack();
      const monitor = stack.use(monitorOf(replicators));
      stack.use(await serve({ address, registry, report: () => monitor.report(), logger }));
      return stack.move();
    },
  };
}

function asyncOf(inner: Disposable): AsyncDisposable {
  return {
    [Symbol.asyncDispose]() {
      inner[Symbol.dispose]();
      return Promise.resolve();
    },
  };
}
