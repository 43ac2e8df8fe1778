import { stat } from "node:fs/promises";
import { CopyError } from "../errors.ts";
import { volumeError } from "./errors.ts";

/** Which directory a path led to. */
export interface DirectoryIdentity {
  readonly device: number;
  readonly inode: number;
}

/** Throws CopyError `volume`. */
export async function identify(root: string): Promise<DirectoryIdentity> {
  try {
    const { dev, ino } = await stat(root);
    return { device: dev, inode: ino };
  } catch (error) {
    throw volumeError(error, "look at the target", root);
  }
}

/**
 * Whoever held a directory open goes on writing into it when its volume is unmounted, while its path leads elsewhere.
 * Throws CopyError `volume` if that has happened.
 */
export async function expectSame(root: string, expected: DirectoryIdentity): Promise<void> {
  const { device, inode } = await identify(root);
  if (device === expected.device && inode === expected.inode) return;
  throw new CopyError("volume", `the target ${root} was unmounted or replaced during the run`);
}
