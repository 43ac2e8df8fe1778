import { expect, it } from "vitest";
import { SlowCalls, waitsOfThread } from "../../src/volume/slow-calls.ts";

interface Call {
  readonly ms: number;
  /** Whether the processor had something to do all the time. */
  readonly busy?: boolean;
}

/** Calls on a clock of their own, of a thread that waits once in each that is not busy. */
class Thread {
  readonly calls: SlowCalls;
  looks = 0;
  #nowMs = 0;
  #waits: number | undefined;

  constructor(waits: number | undefined = 0) {
    this.#waits = waits;
    const look = (): number | undefined => {
      this.looks++;
      return this.#waits;
    };
    this.calls = new SlowCalls({ nowMs: () => this.#nowMs, waits: look });
  }

  make(count: number, { ms, busy = false }: Call): void {
    for (let made = 0; made < count; made++) {
      this.calls.begin();
      this.#nowMs += ms;
      if (!busy && this.#waits !== undefined) this.#waits++;
      this.calls.end();
    }
  }

  /** Pooled calls until there is another look; undefined if there is none within a million. */
  rest(): number | undefined {
    for (let count = 1; count <= 1_000_000; count++) {
      this.calls.pooled();
      if (!this.calls.slow) return count;
    }
    return undefined;
  }
}

const slow = { ms: 8 };
const fast = { ms: 0.05 };

it.each([0, undefined])("calls are slow as soon as half of a sample are, however many are to come", (waits) => {
  const thread = new Thread(waits);
  thread.make(31, slow);
  expect(thread.calls.slow).toBe(false);
  thread.make(1, slow);
  expect(thread.calls.slow).toBe(true);
});

it("calls are slow when most of them are, one sample at a time", () => {
  const thread = new Thread();
  for (let i = 0; i < 64; i++) thread.make(1, i % 3 === 0 ? { ms: 100 } : fast);
  expect(thread.calls.slow).toBe(false);
  for (let i = 0; i < 64; i++) thread.make(1, i % 3 === 0 ? fast : { ms: 1 });
  expect(thread.calls.slow).toBe(true);
});

it("calls that were slow for a moment are found to be fast again", () => {
  const thread = new Thread();
  thread.make(32, slow);
  expect(thread.rest()).toBe(4096);
  thread.make(8, fast);
  expect(thread.calls.slow).toBe(false);
  thread.make(31, slow);
  expect(thread.calls.slow).toBe(false);
});

it("where calls stay slow, another look is short, and rarer each time", () => {
  const thread = new Thread();
  thread.make(32, slow);
  for (const rest of [4096, 8192, 16_384, 32_768]) {
    expect(thread.rest()).toBe(rest);
    thread.make(3, slow);
    expect(thread.calls.slow).toBe(false);
    thread.make(1, slow);
    expect(thread.calls.slow).toBe(true);
  }
});

it("calls that keep the processor busy are not slow, and are looked at seldom", () => {
  const thread = new Thread();
  thread.make(100_000, { ms: 0.4, busy: true });
  expect(thread.calls.slow).toBe(false);
  expect(thread.looks).toBeLessThan(25_000);
});

it("fast calls are not looked at", () => {
  const thread = new Thread();
  thread.make(1000, fast);
  expect(thread.looks).toBe(0);
});

it("a disk that becomes slow after calls that kept the processor busy is found out", () => {
  const thread = new Thread();
  thread.make(64, { ms: 0.4, busy: true });
  thread.make(512, slow);
  expect(thread.calls.slow).toBe(false);
  thread.make(32, slow);
  expect(thread.calls.slow).toBe(true);
});

it("a thread has waited when it slept, and not while it worked", () => {
  const before = waitsOfThread() ?? Number.NaN;
  expect(before).toBeGreaterThan(0);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  const slept = waitsOfThread() ?? Number.NaN;
  expect(slept).toBeGreaterThan(before);
  const startMs = performance.now();
  let least = Number.POSITIVE_INFINITY;
  // Reading may wait now and then.
  while (performance.now() < startMs + 200) {
    const first = waitsOfThread() ?? Number.NaN;
    least = Math.min(least, (waitsOfThread() ?? Number.NaN) - first);
  }
  expect(least).toBe(0);
});
