import { statfs } from "node:fs/promises";
import { volumeError } from "./errors.ts";

/** Magic numbers of statfs(2), from linux/magic.h. */
export const filesystem = {
  ext: 0xef53,
  xfs: 0x58465342,
  btrfs: 0x9123683e,
  f2fs: 0xf2f52010,
  tmpfs: 0x01021994,
  ramfs: 0x858458f6,
} as const;

/** The magic number of the filesystem of `root`. Throws CopyError `volume`. */
export async function filesystemType(root: string): Promise<number> {
  try {
    // Some platforms sign-extend the 32-bit magic.
    return (await statfs(root)).type >>> 0;
  } catch (error) {
    throw volumeError(error, "ask for the filesystem type of", root);
  }
}
