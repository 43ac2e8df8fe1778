import { CopyError } from "../errors.ts";
import { runHelper } from "./helper-process.ts";

/** Files from this size on have their blocks reserved before the first byte. */
export const reserveFromBytes = 64 * 2 ** 20;

/**
 * Gives an open file its length and the blocks for it, so that a lack of space shows itself first, and that writes within
 * it need not wait for each other, as writes that lengthen a file do. Best effort: throws only CopyError `volume-full`, or `unsupported` for a file larger than the filesystem allows.
 */
export async function reserveBlocks(descriptor: number, sizeBytes: number, path: string): Promise<void> {
  // Node has no fallocate(2). A missing or different program means only that nothing is reserved.
  const { complaint } = await runHelper("fallocate", ["--length", String(sizeBytes), "/proc/self/fd/3"], descriptor);
  if (/No space left on device|quota exceeded/i.test(complaint)) {
    throw new CopyError("volume-full", `cannot reserve ${sizeBytes} bytes for ${path}: no space is left`);
  }
  if (/File too large/i.test(complaint)) {
    throw new CopyError("unsupported", `${path} would have ${sizeBytes} bytes, more than the filesystem allows`);
  }
}
