const alignment = 4096;
/** Under a limit one request asks for at most this much time's worth, so that the wire never runs ahead of the bucket. */
const limitedRangeMs = 20;

/** Bytes of one range request: `partBytes`, or less under a limit; a multiple of 4 KiB, for direct writes. */
export function rangeBytes(partBytes: number, limitBytesPerSecond: number | undefined): number {
  if (limitBytesPerSecond === undefined) return partBytes;
  const granted = Math.floor((limitBytesPerSecond * limitedRangeMs) / 1000 / alignment) * alignment;
  return Math.min(partBytes, Math.max(alignment, granted));
}
