import fc from "fast-check";
import { expect, test } from "vitest";
import { planRanges } from "../../src/engine/plan-ranges.ts";
import { rangeBytes } from "../../src/engine/range-size.ts";

test("ranges follow each other without gap or overlap and cover the object exactly", () => {
  const sizes = fc.integer({ min: 1, max: 10_000 }).chain((range) => fc.tuple(fc.nat(range * 50), fc.constant(range)));
  fc.assert(
    fc.property(sizes, ([sizeBytes, range]) => {
      let end = 0;
      for (const { start, length } of planRanges(sizeBytes, range)) {
        expect(start).toBe(end);
        expect(length).toBeGreaterThan(0);
        expect(length).toBeLessThanOrEqual(range);
        end += length;
      }
      expect(end).toBe(sizeBytes);
    }),
  );
});

test("only the last range is short, and an empty object has none", () => {
  expect([...planRanges(10, 4)].map(({ length }) => length)).toEqual([4, 4, 2]);
  expect([...planRanges(8, 4)].map(({ length }) => length)).toEqual([4, 4]);
  expect([...planRanges(0, 4)]).toEqual([]);
});

test("the ranges of a huge object are not kept in memory", () => {
  const first = planRanges(2 ** 50, 4096)
    [Symbol.iterator]()
    .next();
  expect(first.value).toEqual({ start: 0, length: 4096 });
});

const mib = 2 ** 20;

test("without a limit a range is a part", () => {
  expect(rangeBytes(8 * mib, undefined)).toBe(8 * mib);
});

test("under a limit a range is at most 20 ms' worth, never more than a part, and a multiple of 4 KiB", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1000, max: 20_000_000_000 }), fc.integer({ min: 16, max: 4096 }), (limit, pages) => {
      const bytes = rangeBytes(pages * 4096, limit);
      expect(bytes % 4096).toBe(0);
      expect(bytes).toBeGreaterThan(0);
      expect(bytes).toBeLessThanOrEqual(pages * 4096);
      expect(bytes).toBeLessThanOrEqual(Math.max(4096, limit * 0.02));
    }),
  );
});
