import { expect, test } from "vitest";
import { durationBounds, Tally } from "../../src/observe/tally.ts";

test("outcomes, listings and waits add up", () => {
  const tally = new Tally();
  tally.listed(2, 30, false);
  tally.listed(1, 5, true);
  tally.outcome("copied", 20);
  tally.outcome("skipped", 10);
  tally.outcome("failed", 5);
  tally.limited(0.5);
  tally.limited(0.25);
  tally.inFlight(7);
  tally.inFlight(4);
  expect(tally.snapshot()).toMatchObject({
    listed: { objects: 3, bytes: 35 },
    listingComplete: true,
    copied: { objects: 1, bytes: 20 },
    skipped: { objects: 1, bytes: 10 },
    failed: { objects: 1, bytes: 5 },
    limiterSeconds: 0.75,
    inFlight: 4,
  });
});

test("the report's requests count every operation, retries, and answers that asked us to slow down", () => {
  const tally = new Tally();
  tally.request("list", "ok", 0.1);
  tally.request("get", "ok", 0.1);
  tally.request("get", "throttled", 0.1);
  tally.request("head", "throttled", 0.1);
  tally.request("get", "interrupted", 0.1);
  tally.retried("throttled");
  tally.retried("interrupted");
  expect(tally.snapshot().requests).toEqual({ list: 1, get: 3, head: 1, retried: 2, throttled: 2 });
  expect(Object.fromEntries(tally.retries())).toEqual({ throttled: 1, interrupted: 1 });
});

test("a duration falls into the first bucket whose bound it does not exceed", () => {
  const tally = new Tally();
  for (const seconds of [0, 0.005, 0.0051, 60, 61]) tally.request("get", "200", seconds);
  const { buckets, count, sumSeconds } = tally.durations("get");
  expect(buckets).toHaveLength(durationBounds.length + 1);
  expect(buckets[0]).toBe(2);
  expect(buckets[1]).toBe(1);
  expect(buckets.at(-2)).toBe(1);
  expect(buckets.at(-1)).toBe(1);
  expect(count).toBe(5);
  expect(sumSeconds).toBeCloseTo(121.0101);
});

test("a caller that invents labels cannot grow the memory without bound", () => {
  const tally = new Tally();
  for (let index = 0; index < 1000; index++) tally.request("get", `status-${index}`, 0.01);
  expect(tally.statuses("get").size).toBeLessThanOrEqual(65);
  expect([...tally.statuses("get").values()].reduce((a, b) => a + b)).toBe(1000);
});

test("a snapshot does not change afterwards", () => {
  const tally = new Tally();
  const before = tally.snapshot();
  tally.listed(1, 1, true);
  tally.outcome("copied", 1);
  expect(before.listed.objects).toBe(0);
  expect(before.copied.objects).toBe(0);
});
