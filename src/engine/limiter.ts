import type { Clock } from "../types.ts";

/** Tokens that an idle bucket keeps, as time at the limit; the contract allows 100 ms. */
const burstMs = 20;
/** Shortest sleep: each small object by itself would cost a wake-up of every thread. Well below `burstMs`, for a sleep may end late. */
const leastSleepMs = 5;
/** Time's worth that one request asks for: with the burst it stays below the 5 % that the contract allows in a second. */
export const grantMs = 20;

/**
 * Token bucket over all bytes received. A request takes the length of its answer before it is sent, so the bytes on the
 * wire never exceed what was granted and no socket has to be paused; `range-size.ts` keeps single grants small.
 * Kept as the time at which the bucket is level again (the "virtual scheduling" form of ITU-T I.371's GCRA). What an
 * attempt took and did not receive is not given back: it would come on top of what is due by then.
 */
export class Limiter {
  readonly #bytesPerMs: number;
  readonly #clock: Clock;
  #levelAtMs = Number.NEGATIVE_INFINITY;
  #queued = 0;
  /** Settles when the last in the queue has taken its tokens or left; never rejects. */
  #lastTurn: Promise<void> = Promise.resolve();

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#clock = clock;
  }

  /** What one request may ask for: its bytes may all come at once, on top of an idle bucket's tokens. */
  get grantBytes(): number {
    return this.#bytesPerMs * grantMs;
  }

  /** Whether `take` would not wait. */
  get ready(): boolean {
    return this.#queued === 0 && this.#waitMs() <= 0;
  }

  /**
   * Waits for its turn, first come first served; resolves with the milliseconds waited. Rejects with the signal's reason,
   * at the latest when its turn comes, and then has taken nothing.
   */
  async take(bytes: number, signal: AbortSignal): Promise<number> {
    const before = this.#lastTurn;
    const { promise, resolve: endTurn } = Promise.withResolvers<void>();
    this.#lastTurn = promise;
    this.#queued++;
    const askedMs = this.#clock.nowMs();
    try {
      await before;
      signal.throwIfAborted();
      // Asked anew after each sleep: bytes may have come unasked meanwhile.
      for (let waitMs = this.#waitMs(); waitMs > 0; waitMs = this.#waitMs()) {
        await this.#clock.sleep(Math.max(leastSleepMs, waitMs), signal);
      }
      this.charge(bytes);
    } finally {
      this.#queued--;
      endTurn();
    }
    return this.#clock.nowMs() - askedMs;
  }

  /** Counts bytes that arrived without having been asked for first. */
  charge(bytes: number): void {
    this.#levelAtMs = Math.max(this.#levelAtMs, this.#clock.nowMs() - burstMs) + bytes / this.#bytesPerMs;
  }

  #waitMs(): number {
    return this.#levelAtMs - this.#clock.nowMs();
  }
}
