import type { Clock } from "../types.ts";

/** Tokens that an idle bucket keeps, as time at the limit; the contract allows 100 ms. */
const burstMs = 20;

/**
 * Token bucket over all bytes received. A request takes the length of its answer before it is sent, so the bytes on the
 * wire never exceed what was granted and no socket has to be paused; `range-size.ts` keeps single grants small.
 * Kept as the time at which the bucket is level again (the "virtual scheduling" form of ITU-T I.371's GCRA).
 */
export class Limiter {
  readonly #bytesPerMs: number;
  readonly #clock: Clock;
  #levelAtMs = Number.NEGATIVE_INFINITY;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#clock = clock;
  }

  /** Waits for its turn, first come first served; resolves with the milliseconds waited. */
  async take(bytes: number, signal: AbortSignal): Promise<number> {
    const now = this.#clock.nowMs();
    const startMs = Math.max(this.#levelAtMs, now - burstMs);
    this.#levelAtMs = startMs + bytes / this.#bytesPerMs;
    const waitMs = startMs - now;
    if (waitMs <= 0) return 0;
    await this.#clock.sleep(waitMs, signal);
    return waitMs;
  }

  /** Counts bytes that arrived without having been asked for first, such as a page of the listing. */
  charge(bytes: number): void {
    this.#levelAtMs = Math.max(this.#levelAtMs, this.#clock.nowMs() - burstMs) + bytes / this.#bytesPerMs;
  }

  /** Gives back what an attempt took and did not receive. */
  refund(bytes: number): void {
    this.#levelAtMs -= bytes / this.#bytesPerMs;
  }
}
