import type { BufferPool } from "../../src/engine/admission.ts";

/** Buffers for requests of every size. */
export function onePool(bytes: number): readonly BufferPool[] {
  return [{ largestBytes: bytes, bytes }];
}
