import { readFileSync } from "node:fs";

/** Above this median a synchronous call costs more than its way through the thread pool (measured: 40–64 µs against 150). */
const slowMs = 0.3;
const sampleSize = 64;
/** A second look is short, for where calls are still slow each of its calls holds up the thread. */
const lookSize = 8;
const firstRest = 4096;
const longestRest = 2 ** 20;
/** Calls that are not looked at after a sample of busy ones: looking costs a tenth of such a call. */
const busyRest = 512;

/** What calls are measured with. */
export interface CallGauge {
  readonly nowMs: () => number;
  /** How often this thread has waited for something; undefined where nobody knows. Costs as much as a file. */
  readonly waits: () => number | undefined;
}

const gauge: CallGauge = { nowMs: () => performance.now(), waits: waitsOfThread };

/**
 * Watches how long synchronous calls take. Slow ones, as on cloud disks and network filesystems, are told as soon as they
 * are half of a sample; they may have been a moment's, of a busy machine for instance, so after a rest there is another look.
 * A call that kept the processor busy all the time, as ext4 does where many files were removed a moment ago, is not slow:
 * in the pool it would take as long, and many of them spin on the lock of their directory.
 */
export class SlowCalls {
  readonly #gauge: CallGauge;
  #size = sampleSize;
  #seen = 0;
  #slowSeen = 0;
  #busySeen = 0;
  #slow = false;
  /** Calls in the pool until the next look, and how many it was this time. */
  #left = 0;
  #rest = firstRest;
  /** Calls that need not be looked at. */
  #ignored = 0;
  #startMs = 0;
  #startWaits: number | undefined;

  constructor(how: CallGauge = gauge) {
    this.#gauge = how;
  }

  /** Whether calls are better made in the thread pool. */
  get slow(): boolean {
    return this.#slow;
  }

  /** A synchronous call begins. */
  begin(): void {
    this.#startMs = this.#gauge.nowMs();
    const isSuspicious = this.#slowSeen + this.#busySeen > 0 && this.#ignored === 0;
    this.#startWaits = isSuspicious ? this.#gauge.waits() : undefined;
  }

  /** The call has ended. */
  end(): void {
    if (this.#slow) return;
    if (this.#ignored > 0) {
      this.#ignored--;
      return;
    }
    this.#seen++;
    if (this.#gauge.nowMs() - this.#startMs > slowMs) {
      if (this.#startWaits !== undefined && this.#gauge.waits() === this.#startWaits) this.#busySeen++;
      else this.#slowSeen++;
    }
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
    if (this.#busySeen >= this.#size / 2) this.#ignored = busyRest;
    this.#rest = firstRest;
    this.#begin(sampleSize);
  }

  #begin(size: number): void {
    this.#size = size;
    this.#seen = 0;
    this.#slowSeen = 0;
    this.#busySeen = 0;
  }
}

/** Voluntary switches of this thread as Linux counts them: proc_pid_status(5). */
export function waitsOfThread(): number | undefined {
  try {
    const status = readFileSync("/proc/thread-self/status", "latin1");
    const count = /^voluntary_ctxt_switches:\s*(\d+)$/m.exec(status)?.[1];
    return count === undefined ? undefined : Number(count);
  } catch {
    return undefined;
  }
}
