import type { ByteRange } from "../types.ts";

/** Splits [0, sizeBytes) into consecutive ranges. An empty object has none. */
export function planRanges(sizeBytes: number, rangeBytes: number): ByteRange[] {
  const ranges: ByteRange[] = [];
  for (let start = 0; start < sizeBytes; start += rangeBytes) {
    ranges.push({ start, length: Math.min(rangeBytes, sizeBytes - start) });
  }
  return ranges;
}
