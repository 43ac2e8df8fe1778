import type { ByteRange } from "../../src/types.ts";

/** Splits [0, sizeBytes) into consecutive ranges, one at a time: a huge object has millions. An empty one has none. */
export function* planRanges(sizeBytes: number, rangeBytes: number): Generator<ByteRange, void, void> {
  for (let start = 0; start < sizeBytes; start += rangeBytes) {
    yield { start, length: Math.min(rangeBytes, sizeBytes - start) };
  }
}
