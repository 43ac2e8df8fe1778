import type { Counts, Metrics, Operation } from "../types.ts";

/** Upper bounds of the request duration histogram, seconds. */
export const durationBounds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;

/** Labels come from closed sets; if a caller ever breaks that, the rest is counted under `other`. */
const mostLabels = 64;

/** Durations of one operation; `buckets` holds one count for each bound and one for what is above all of them. */
export interface Durations {
  readonly buckets: readonly number[];
  readonly sumSeconds: number;
  readonly count: number;
}

/** Everything counted so far. */
export interface TallySnapshot {
  readonly listed: Counts;
  readonly listingComplete: boolean;
  readonly copied: Counts;
  readonly skipped: Counts;
  readonly failed: Counts;
  readonly inFlight: number;
  readonly limiterSeconds: number;
  /** As the report shows them. */
  readonly requests: Readonly<{ list: number; get: number; head: number; retried: number; throttled: number }>;
}

interface Mutable {
  objects: number;
  bytes: number;
}

class OperationTally {
  readonly statuses = new Map<string, number>();
  readonly buckets: number[] = new Array(durationBounds.length + 1).fill(0);
  sumSeconds = 0;
  count = 0;

  add(status: string, seconds: number): void {
    increment(this.statuses, status);
    let bucket = 0;
    while (bucket < durationBounds.length && seconds > (durationBounds[bucket] ?? 0)) bucket++;
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
    this.sumSeconds += seconds;
    this.count++;
  }
}

/** Plain counters behind the `Metrics` port: the hot path pays some increments, whoever reads pays for the rest. */
export class Tally implements Metrics {
  readonly #listed: Mutable = { objects: 0, bytes: 0 };
  #listingComplete = false;
  readonly #outcomes: Readonly<Record<"copied" | "skipped" | "failed", Mutable>> = {
    copied: { objects: 0, bytes: 0 },
    skipped: { objects: 0, bytes: 0 },
    failed: { objects: 0, bytes: 0 },
  };
  readonly #operations: Readonly<Record<Operation, OperationTally>> = {
    list: new OperationTally(),
    get: new OperationTally(),
    head: new OperationTally(),
  };
  readonly #retries = new Map<string, number>();
  #limiterSeconds = 0;
  #inFlight = 0;

  /** Adds to what was listed before; `complete` stays once it was true. */
  listed(objects: number, bytes: number, complete: boolean): void {
    this.#listed.objects += objects;
    this.#listed.bytes += bytes;
    this.#listingComplete ||= complete;
  }

  request(operation: Operation, status: string, seconds: number): void {
    this.#operations[operation].add(status, seconds);
  }

  retried(kind: string): void {
    increment(this.#retries, kind);
  }

  limited(seconds: number): void {
    this.#limiterSeconds += seconds;
  }

  outcome(outcome: "copied" | "skipped" | "failed", bytes: number, objects = 1): void {
    const counts = this.#outcomes[outcome];
    counts.objects += objects;
    counts.bytes += bytes;
  }

  inFlight(requests: number): void {
    this.#inFlight = requests;
  }

  /** Answers and failures by status, for one operation. */
  statuses(operation: Operation): ReadonlyMap<string, number> {
    return this.#operations[operation].statuses;
  }

  durations(operation: Operation): Durations {
    return this.#operations[operation];
  }

  /** Retries by error kind. */
  retries(): ReadonlyMap<string, number> {
    return this.#retries;
  }

  snapshot(): TallySnapshot {
    const { list, get, head } = this.#operations;
    return {
      listed: { ...this.#listed },
      listingComplete: this.#listingComplete,
      copied: { ...this.#outcomes.copied },
      skipped: { ...this.#outcomes.skipped },
      failed: { ...this.#outcomes.failed },
      inFlight: this.#inFlight,
      limiterSeconds: this.#limiterSeconds,
      requests: {
        list: list.count,
        get: get.count,
        head: head.count,
        retried: sum(this.#retries.values()),
        throttled: sum([list, get, head].map(({ statuses }) => statuses.get("throttled") ?? 0)),
      },
    };
  }
}

function increment(counts: Map<string, number>, label: string): void {
  const count = counts.get(label);
  if (count !== undefined) counts.set(label, count + 1);
  else if (counts.size < mostLabels) counts.set(label, 1);
  else counts.set("other", (counts.get("other") ?? 0) + 1);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
