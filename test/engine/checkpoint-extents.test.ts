import { randomFillSync } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crc64 } from "../../src/checksum/crc64.ts";
import { addExtent, type Extent, endOf, extentAlignment, missingRanges } from "../../src/engine/checkpoint-extents.ts";
import type { ByteRange } from "../../src/types.ts";
import { planRanges } from "../support/plan-ranges.ts";
import { wholeCrc64 } from "./whole-crc64.ts";

const bytes = randomFillSync(new Uint8Array(64 * extentAlignment));

function extentOf({ start, length }: ByteRange): Extent {
  return { start, length, crc64: crc64(bytes.subarray(start, start + length)) };
}

const object = () =>
  fc.record({
    sizeBytes: fc.integer({ min: 1, max: bytes.length }),
    rangeBlocks: fc.integer({ min: 1, max: 9 }),
    /** By which each range finds its turn. */
    order: fc.array(fc.nat(), { minLength: 64, maxLength: 64 }),
    finished: fc.nat(64),
    nextRangeBlocks: fc.integer({ min: 1, max: 9 }),
  });

describe("extents", () => {
  test("added in any order, over two runs with ranges of their own, give the CRC-64 of the whole", () => {
    fc.assert(
      fc.property(object(), ({ sizeBytes, rangeBlocks, order, finished, nextRangeBlocks }) => {
        const shuffled = [...planRanges(sizeBytes, rangeBlocks * extentAlignment)]
          .map((range, i) => ({ range, turn: order[i] ?? 0 }))
          .toSorted((a, b) => a.turn - b.turn)
          .map(({ range }) => range);
        const extents: Extent[] = [];
        for (const range of shuffled.slice(0, finished)) addExtent(extents, extentOf(range));
        expectTidy(extents);
        for (const range of missingRanges(sizeBytes, nextRangeBlocks * extentAlignment, extents)) {
          expect(wholeCrc64(extents, sizeBytes)).toBeUndefined();
          addExtent(extents, extentOf(range));
        }
        expect(wholeCrc64(extents, sizeBytes)).toBe(crc64(bytes.subarray(0, sizeBytes)));
      }),
      { numRuns: 300 },
    );
  });

  test("that are given twice or overlap are a defect, which changes nothing", () => {
    const extents: Extent[] = [];
    addExtent(extents, { start: 4096, length: 4096, crc64: 1n });
    for (const [start, length] of [
      [4096, 4096],
      [0, 4097],
      [8191, 1],
      [0, 20_000],
      [5000, 10],
      [0, 0],
    ] as const) {
      expect(() => addExtent(extents, { start, length, crc64: 2n })).toThrow(`${length} bytes at ${start}`);
    }
    expect(extents).toEqual([{ start: 4096, length: 4096, crc64: 1n }]);
  });

  test("of an object without bytes are none", () => {
    expect([...missingRanges(0, 4096, [])]).toEqual([]);
  });
});

describe("the missing ranges", () => {
  test("keep off a cut: none crosses it, and they tile the object as before", () => {
    fc.assert(
      fc.property(object(), fc.nat(70), ({ sizeBytes, rangeBlocks }, cutBlocks) => {
        const cutAt = cutBlocks * extentAlignment;
        let end = 0;
        for (const range of missingRanges(sizeBytes, rangeBlocks * extentAlignment, [], cutAt)) {
          expect(range.start).toBe(end);
          expect(range.length).toBeGreaterThan(0);
          expect(range.length).toBeLessThanOrEqual(rangeBlocks * extentAlignment);
          end = endOf(range);
          expect(range.start < cutAt && end > cutAt).toBe(false);
        }
        expect(end).toBe(sizeBytes);
      }),
      { numRuns: 300 },
    );
  });

  test("and the extents tile the object, and all begin at a block", () => {
    fc.assert(
      fc.property(object(), ({ sizeBytes, rangeBlocks, order, nextRangeBlocks }) => {
        const rangeBytes = nextRangeBlocks * extentAlignment;
        const extents: Extent[] = [];
        for (const [i, { start, length }] of [...planRanges(sizeBytes, rangeBlocks * extentAlignment)].entries()) {
          if ((order[i] ?? 0) % 2 === 0) addExtent(extents, { start, length, crc64: 0n });
        }
        const missing = [...missingRanges(sizeBytes, rangeBytes, extents)];
        let end = 0;
        for (const piece of [...missing, ...extents].toSorted((a, b) => a.start - b.start)) {
          expect(piece.start).toBe(end);
          end = endOf(piece);
        }
        expect(end).toBe(sizeBytes);
        for (const { start, length } of missing) {
          expect(start % extentAlignment).toBe(0);
          expect(length).toBeGreaterThan(0);
          expect(length).toBeLessThanOrEqual(rangeBytes);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("of an object of which nothing is there are its ranges", () => {
    expect([...missingRanges(10_000, 4096, [])]).toEqual([...planRanges(10_000, 4096)]);
  });

  test("of a huge object cost nothing before they are taken", () => {
    const ranges = missingRanges(2 ** 50, 4096, [{ start: 0, length: 2 ** 49, crc64: 0n }]);
    expect(ranges.next().value).toEqual({ start: 2 ** 49, length: 4096 });
  });
});

function expectTidy(extents: readonly Extent[]): void {
  for (const [i, extent] of extents.entries()) {
    const before = extents[i - 1];
    if (before) expect(extent.start).toBeGreaterThan(endOf(before));
  }
}
