import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { volumeError } from "./errors.ts";

/** Puts the entries of a directory on stable storage. Throws CopyError `volume`. */
export async function syncDirectory(path: string): Promise<void> {
  try {
    await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    await directory.sync();
  } catch (error) {
    throw volumeError(error, "sync directory", path);
  }
}
