import { expect, it } from "vitest";
import { SlowCalls } from "../../src/volume/slow-calls.ts";

function take(calls: SlowCalls, durationsMs: readonly number[]): void {
  for (const durationMs of durationsMs) calls.took(durationMs);
}

/** Pooled calls until there is another look; undefined if there is none within a million. */
function restOf(calls: SlowCalls): number | undefined {
  for (let count = 1; count <= 1_000_000; count++) {
    calls.pooled();
    if (!calls.slow) return count;
  }
  return undefined;
}

it("calls are slow as soon as half of a sample are, however many are to come", () => {
  const calls = new SlowCalls();
  take(calls, Array(31).fill(8));
  expect(calls.slow).toBe(false);
  take(calls, [8]);
  expect(calls.slow).toBe(true);
});

it("calls are slow when most of them are, one sample at a time", () => {
  const calls = new SlowCalls();
  take(
    calls,
    Array.from({ length: 64 }, (_, i) => (i % 3 === 0 ? 100 : 0.05)),
  );
  expect(calls.slow).toBe(false);
  take(
    calls,
    Array.from({ length: 64 }, (_, i) => (i % 3 === 0 ? 0.05 : 1)),
  );
  expect(calls.slow).toBe(true);
});

it("calls that were slow for a moment are found to be fast again", () => {
  const calls = new SlowCalls();
  take(calls, Array(32).fill(8));
  expect(restOf(calls)).toBe(4096);
  take(calls, Array(8).fill(0.05));
  expect(calls.slow).toBe(false);
  take(calls, Array(31).fill(8));
  expect(calls.slow).toBe(false);
});

it("where calls stay slow, another look is short, and rarer each time", () => {
  const calls = new SlowCalls();
  take(calls, Array(32).fill(8));
  for (const rest of [4096, 8192, 16_384, 32_768]) {
    expect(restOf(calls)).toBe(rest);
    take(calls, Array(3).fill(8));
    expect(calls.slow).toBe(false);
    take(calls, [8]);
    expect(calls.slow).toBe(true);
  }
});
