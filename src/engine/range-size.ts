import { grantMs } from "./limiter.ts";

const alignment = 4096;

/** Bytes of one range request: `partBytes`, or less under a limit; a multiple of 4 KiB, for direct writes. */
export function rangeBytes(partBytes: number, limitBytesPerSecond: number | undefined): number {
  if (limitBytesPerSecond === undefined) return partBytes;
  const granted = Math.floor((limitBytesPerSecond * grantMs) / 1000 / alignment) * alignment;
  return Math.min(partBytes, Math.max(alignment, granted));
}
