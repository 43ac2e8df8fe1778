import { combineCrc64 } from "../checksum/crc64.ts";
import type { ByteRange } from "../types.ts";

/** Direct writes begin and end at multiples of this, but for the end of the object. */
export const extentAlignment = 4096;

/** Bytes that have been written and whose CRC-64/XZ is known. */
export interface Extent extends ByteRange {
  readonly crc64: bigint;
}

/** First byte after a range. */
export function endOf({ start, length }: ByteRange): number {
  return start + length;
}

/** Adds to ascending, disjoint extents in place; neighbours become one. Throws Error when bytes come twice. */
export function addExtent(extents: Extent[], extent: Extent): void {
  const at = firstAfter(extents, extent.start);
  const before = extents[at - 1];
  const after = extents[at];
  if (extent.length <= 0 || (before && endOf(before) > extent.start) || (after && endOf(extent) > after.start)) {
    throw new Error(`an extent of ${extent.length} bytes at ${extent.start} does not fit between the others`);
  }
  const joinsBefore = before !== undefined && endOf(before) === extent.start;
  const joinsAfter = after !== undefined && endOf(extent) === after.start;
  let merged = joinsBefore ? join(before, extent) : extent;
  if (joinsAfter) merged = join(merged, after);
  extents.splice(joinsBefore ? at - 1 : at, Number(joinsBefore) + Number(joinsAfter), merged);
}

/**
 * Tiles what `extents` (ascending, disjoint) leave of [0, sizeBytes) with ranges of at most `rangeBytes`, in order and
 * one at a time: a huge object has millions. None crosses `cutAt`. All start at multiples of 4 KiB when extents,
 * `rangeBytes` and `cutAt` do.
 */
export function* missingRanges(
  sizeBytes: number,
  rangeBytes: number,
  extents: readonly Extent[],
  cutAt = 0,
): Generator<ByteRange, void, void> {
  // A copy: whoever takes the ranges adds to the extents meanwhile.
  const ends = [...extents, { start: sizeBytes, length: 0 }];
  let start = 0;
  for (const next of ends) {
    while (start < next.start) {
      const end = Math.min(start + rangeBytes, next.start, start < cutAt ? cutAt : next.start);
      yield { start, length: end - start };
      start = end;
    }
    start = endOf(next);
  }
}

function firstAfter(extents: readonly Extent[], start: number): number {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((extents[middle]?.start ?? 0) <= start) low = middle + 1;
    else high = middle;
  }
  return low;
}

function join(left: Extent, right: Extent): Extent {
  const crc64 = combineCrc64(left.crc64, right.crc64, right.length);
  return { start: left.start, length: left.length + right.length, crc64 };
}
