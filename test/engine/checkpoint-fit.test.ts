import fc from "fast-check";
import { expect, test } from "vitest";
import type { CheckpointState } from "../../src/engine/checkpoint.ts";
import { endOf } from "../../src/engine/checkpoint-extents.ts";
import { fittingCheckpoint } from "../../src/engine/checkpoint-fit.ts";
import { parseCheckpoint, stringifyCheckpoint } from "../../src/engine/checkpoint-format.ts";
import { entryOf } from "../support/sources.ts";
import { block, sampleState } from "./checkpoint-samples.ts";

/** A state of one object with gaps of one block between extents of so many blocks. */
function stateWith(blocks: readonly number[]): CheckpointState {
  let start = 0;
  const extents = blocks.map((count, i) => {
    const extent = { start, length: count * block, crc64: BigInt(i) };
    start = endOf(extent) + block;
    return extent;
  });
  const entry = entryOf("data/large", { sizeBytes: start + block });
  return sampleState({ open: [{ entry, position: entry.key, extents }] });
}

test("a checkpoint that fits is left as it is", () => {
  const state = stateWith([1, 2, 3]);
  expect(fittingCheckpoint(state)).toBe(stringifyCheckpoint(state));
});

test("one that is too long vouches for less, and for the longest extents", () => {
  const blocks = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 400 });
  fc.assert(
    fc.property(blocks, fc.integer({ min: 2000, max: 8000 }), (all, mostChars) => {
      const state = stateWith(all);
      const loaded = parseCheckpoint(fittingCheckpoint(state, (text) => text.length <= mostChars));
      if (loaded.status !== "ok") throw new Error(loaded.reason);
      const before = state.open[0]?.extents ?? [];
      const kept = loaded.state.open[0]?.extents ?? [];
      for (const extent of kept) expect(before).toContainEqual(extent);
      const shortest = Math.min(...kept.map(({ length }) => length));
      const lost = before.filter(({ start }) => !kept.some((extent) => extent.start === start));
      for (const { length } of lost) expect(length).toBeLessThanOrEqual(shortest);
    }),
    { numRuns: 100 },
  );
});

test("one for which there is no room at all is a defect", () => {
  expect(() => fittingCheckpoint(stateWith([1, 2]), () => false)).toThrow(RangeError);
});
