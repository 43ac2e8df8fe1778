/** One interval that watches every request of a transport for silence and slowness; it makes no timer per chunk. */
import { CopyError } from "../../errors.ts";
import { Bag, type BagMember } from "./bag.ts";
import type { TransportTimeouts } from "./transport.ts";

const defaultSpeedWindowMs = 30_000;
const slowestTickMs = 1_000;
const fastestTickMs = 10;

/** One request being watched. Its clock stands still while we are the ones who wait. */
export class Watch implements BagMember {
  bagIndex = -1;
  readonly #onFailure: (error: CopyError) => void;
  #freshBytes = 0;
  #alive = true;
  #paused = false;
  /** A tick in which we paused at all counts for nothing: the time cannot be divided. */
  #pausedInTick = false;
  #silentMs = 0;
  #windowMs = 0;
  #windowBytes = 0;

  constructor(onFailure: (error: CopyError) => void) {
    this.#onFailure = onFailure;
  }

  /** Body bytes have arrived; 0 says that something else did. */
  received(bytes: number): void {
    this.#freshBytes += bytes;
    this.#alive = true;
  }

  pause(): void {
    this.#paused = true;
    this.#pausedInTick = true;
  }

  resume(): void {
    this.#paused = false;
  }

  /** Lets `elapsedMs` pass; reports a failure at most once, because whoever is told stops watching. */
  tick(elapsedMs: number, limits: WatchLimits): void {
    const bytes = this.#freshBytes;
    const alive = this.#alive;
    const stoodStill = this.#pausedInTick;
    this.#freshBytes = 0;
    this.#alive = false;
    this.#pausedInTick = this.#paused;
    if (alive) this.#silentMs = 0;
    if (stoodStill) return;
    if (!alive) this.#silentMs += elapsedMs;
    if (this.#silentMs >= limits.stallMs) {
      this.#onFailure(new CopyError("interrupted", `no byte for ${seconds(limits.stallMs)} s`));
      return;
    }
    this.#windowMs += elapsedMs;
    this.#windowBytes += bytes;
    if (this.#windowMs >= limits.speedWindowMs) this.#judgeSpeed(limits);
  }

  #judgeSpeed(limits: WatchLimits): void {
    const bytesPerSecond = (this.#windowBytes * 1000) / this.#windowMs;
    const windowMs = this.#windowMs;
    this.#windowMs = 0;
    this.#windowBytes = 0;
    if (bytesPerSecond >= limits.minBytesPerSecond) return;
    const message = `too slow: ${Math.floor(bytesPerSecond)} bytes/s over ${seconds(windowMs)} s, less than ${limits.minBytesPerSecond} bytes/s`;
    this.#onFailure(new CopyError("interrupted", message));
  }
}

export interface WatchLimits {
  readonly stallMs: number;
  readonly minBytesPerSecond: number;
  readonly speedWindowMs: number;
}

/** Owns the interval, which runs only while something is watched and does not keep the process alive. */
export class Watchdog implements Disposable {
  readonly #limits: WatchLimits;
  readonly #tickMs: number;
  readonly #watches = new Bag<Watch>();
  #timer: NodeJS.Timeout | undefined;
  #lastMs = 0;

  constructor(timeouts: TransportTimeouts, speedWindowMs: number = defaultSpeedWindowMs) {
    this.#limits = { stallMs: timeouts.stallMs, minBytesPerSecond: timeouts.minBytesPerSecond, speedWindowMs };
    const shortestMs = Math.min(timeouts.stallMs, speedWindowMs);
    this.#tickMs = Math.min(slowestTickMs, Math.max(fastestTickMs, Math.floor(shortestMs / 10)));
  }

  watch(onFailure: (error: CopyError) => void): Watch {
    const watch = new Watch(onFailure);
    this.#watches.add(watch);
    if (this.#timer === undefined) {
      this.#lastMs = performance.now();
      this.#timer = setInterval(() => this.#tick(), this.#tickMs).unref();
    }
    return watch;
  }

  unwatch(watch: Watch | undefined): void {
    if (watch !== undefined) this.#watches.remove(watch);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    const nowMs = performance.now();
    // A process that was held up has not listened: bytes may be waiting in the kernel.
    const elapsedMs = Math.min(nowMs - this.#lastMs, 2 * this.#tickMs);
    this.#lastMs = nowMs;
    for (const watch of this.#watches.snapshot()) watch.tick(elapsedMs, this.#limits);
    if (this.#watches.size > 0) return;
    // Requests come and go all the time, so the interval stops only after a whole tick without any.
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
