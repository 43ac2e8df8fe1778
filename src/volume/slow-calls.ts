/** Above this median a synchronous call costs more than its way through the thread pool (measured: 40–64 µs against 150). */
const slowMs = 0.3;
const sampleSize = 64;
/** A second look is short, for where calls are still slow each of its calls holds up the thread. */
const lookSize = 8;
const firstRest = 4096;
const longestRest = 2 ** 20;

/**
 * Watches how long synchronous calls take. Slow ones, as on cloud disks and network filesystems, are told as soon as they
 * are half of a sample; they may have been a moment's, of a busy machine for instance, so after a rest there is another look.
 */
export class SlowCalls {
  #size = sampleSize;
  #seen = 0;
  #slowSeen = 0;
  #slow = false;
  /** Calls in the pool until the next look, and how many it was this time. */
  #left = 0;
  #rest = firstRest;

  /** Whether calls are better made in the thread pool. */
  get slow(): boolean {
    return this.#slow;
  }

  /** A synchronous call took so long. */
  took(durationMs: number): void {
    if (this.#slow) return;
    this.#seen++;
    if (durationMs > slowMs) this.#slowSeen++;
    // Nothing to come could lower the median of this sample any more, and each call of a slow disk holds up this thread.
    if (this.#slowSeen >= this.#size / 2) this.#turnSlow();
    else if (this.#seen === this.#size) this.#turnFast();
  }

  /** A call was made in the pool. */
  pooled(): void {
    if (!this.#slow || --this.#left > 0) return;
    this.#slow = false;
    this.#begin(lookSize);
  }

  #turnSlow(): void {
    this.#slow = true;
    if (this.#size === lookSize) this.#rest = Math.min(longestRest, 2 * this.#rest);
    this.#left = this.#rest;
  }

  #turnFast(): void {
    this.#rest = firstRest;
    this.#begin(sampleSize);
  }

  #begin(size: number): void {
    this.#size = size;
    this.#seen = 0;
    this.#slowSeen = 0;
  }
}
