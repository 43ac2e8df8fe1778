import type { LargeFile } from "../../src/volume/large-file.ts";
import { pageAligned } from "./support.ts";

export const slabBytes = 256 * 1024;
export const memory = pageAligned(20);
/** A copy of the memory's content, to compare with: writes zero what follows the tail. */
export const content = Buffer.from(memory.subarray(0, 16 * 65_536));

/** Writes the first `sizeBytes` of the content, slab by slab, from memory at `shift` bytes past a page. */
export async function fill(file: LargeFile, sizeBytes: number, shift = 0): Promise<void> {
  for (let offset = 0; offset < sizeBytes; offset += slabBytes) {
    const length = Math.min(slabBytes, sizeBytes - offset);
    const slab = memory.subarray(16 * 65_536 - (shift ? 65_536 : 0) + shift).subarray(0, slabBytes);
    slab.set(content.subarray(offset, offset + length));
    await file.write(slab.subarray(0, length), offset);
  }
}
