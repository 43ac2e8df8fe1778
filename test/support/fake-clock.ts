import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../src/types.ts";

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Time that moves only when a test says so, and chance that is the same in every run. */
export class FakeClock implements Clock {
  #nowMs = 0;
  #sleepers: Sleeper[] = [];
  readonly #random: () => number;

  constructor(seed = 1) {
    this.#random = seededRandom(seed);
  }

  nowMs(): number {
    return this.#nowMs;
  }

  random(): number {
    return this.#random();
  }

  /** How many wait for time to pass. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const leave = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal.reason);
      };
      const wake = (): void => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const sleeper = { atMs: this.#nowMs + Math.max(0, ms), wake };
      signal.addEventListener("abort", leave, { once: true });
      this.#sleepers.push(sleeper);
    });
  }

  /** Jumps to the earliest moment that anybody waits for and wakes one sleeper; false when nobody waits. */
  next(): boolean {
    const [first] = this.#sleepers.toSorted((a, b) => a.atMs - b.atMs);
    if (!first) return false;
    this.#sleepers = this.#sleepers.filter((other) => other !== first);
    this.#nowMs = Math.max(this.#nowMs, first.atMs);
    first.wake();
    return true;
  }

  /** Lets `ms` pass; whoever wakes meanwhile goes on at its own moment. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (await turn(); this.#sleepers.some(({ atMs }) => atMs <= endMs); await turn()) this.next();
    this.#nowMs = endMs;
  }
}

/** Resolves when everything that can go on without time or I/O has gone on. */
export async function turn(): Promise<void> {
  await setImmediate();
}

/**
 * Lets time pass until `work` ends, and resolves or rejects like it. Throws when `work` waits for something that will
 * never come: a deadlock shows itself at once and not as a time-out.
 */
export async function drive<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  work.then(end, end);
  for (;;) {
    await turn();
    if (ended) return work;
    if (!clock.next()) throw new Error("the work has not ended, and nobody waits for time to pass");
  }
}

/** Uniform numbers in [0, 1) from a seed: a multiplicative congruential generator (Park and Miller, 1988). */
export function seededRandom(seed: number): () => number {
  const modulus = 2 ** 31 - 1;
  let state = (Math.abs(Math.trunc(seed)) % (modulus - 1)) + 1;
  return () => {
    state = (state * 48_271) % modulus;
    return (state - 1) / (modulus - 1);
  };
}
