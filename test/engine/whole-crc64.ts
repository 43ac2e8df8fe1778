import type { Extent } from "../../src/engine/checkpoint-extents.ts";

/** CRC-64/XZ of all `sizeBytes`; undefined while bytes are missing. */
export function wholeCrc64(extents: readonly Extent[], sizeBytes: number): bigint | undefined {
  if (sizeBytes === 0) return 0n;
  const [all] = extents;
  return all?.start === 0 && all.length === sizeBytes ? all.crc64 : undefined;
}
