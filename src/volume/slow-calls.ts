/** Above this median a synchronous call costs more than its way through the thread pool (measured: 40–64 µs against 150). */
const slowMs = 0.3;
const sampleSize = 64;

/** Watches how long synchronous calls take; once slow, always slow, as cloud disks and network filesystems are. */
export class SlowCalls {
  #seen = 0;
  #slowSeen = 0;
  #slow = false;

  get slow(): boolean {
    return this.#slow;
  }

  took(durationMs: number): void {
    if (this.#slow) return;
    this.#seen++;
    if (durationMs > slowMs) this.#slowSeen++;
    // Nothing to come could lower the median of this sample any more, and each call of a slow disk holds up this thread.
    this.#slow = this.#slowSeen >= sampleSize / 2;
    if (this.#seen < sampleSize) return;
    this.#seen = 0;
    this.#slowSeen = 0;
  }
}
