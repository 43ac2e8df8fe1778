import { statfs } from "node:fs/promises";
import { volumeError } from "./errors.ts";

export interface FreeSpace {
  /** What we may still fill; blocks reserved for root do not count. */
  readonly freeBytes: number;
  /** Undefined where the filesystem makes inodes as it goes. */
  readonly freeInodes: number | undefined;
  /** Files take whole blocks. */
  readonly blockBytes: number;
}

/** Free bytes and inodes of the filesystem that holds `directory`. Throws CopyError `volume`. */
export async function freeSpace(directory: string): Promise<FreeSpace> {
  try {
    const { bavail, bsize, files, ffree } = await statfs(directory);
    // Zero inodes in total means that the filesystem does not count them (btrfs, some network filesystems).
    return { freeBytes: bavail * bsize, freeInodes: files === 0 ? undefined : ffree, blockBytes: bsize };
  } catch (error) {
    throw volumeError(error, "ask for the free space of", directory);
  }
}
