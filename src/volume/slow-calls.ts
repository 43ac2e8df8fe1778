/** Above this median a synchronous call costs more than its way through the thread pool (measured: 40–64 µs against 150). */
const slowMs = 0.3;
const sampleSize = 64;

/** Watches how long synchronous calls take; once slow, always slow, as cloud disks and network filesystems are. */
export class SlowCalls {
  #durationsMs: number[] = [];
  #slow = false;

  get slow(): boolean {
    return this.#slow;
  }

  took(durationMs: number): void {
    if (this.#slow) return;
    this.#durationsMs.push(durationMs);
    if (this.#durationsMs.length < sampleSize) return;
    const sorted = this.#durationsMs.toSorted((a, b) => a - b);
    this.#slow = (sorted[sampleSize / 2] ?? 0) > slowMs;
    this.#durationsMs = [];
  }
}
