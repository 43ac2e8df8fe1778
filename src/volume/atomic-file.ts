import { constants } from "node:fs";
import { open, rename } from "node:fs/promises";
import { volumeError } from "./errors.ts";
import type { OpenDirectory } from "./tree.ts";

/** Ends the names of files that were never completed. */
export const unfinishedSuffix = ".tmp";

const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;

/** Replaces a file so that after a crash the old or the new content is there, and after success the new. Throws CopyError. */
export async function replaceFile(directory: OpenDirectory, name: string, content: string | Uint8Array): Promise<void> {
  const unfinished = directory.child(name + unfinishedSuffix);
  try {
    {
      await using file = await open(unfinished, flags, 0o600);
      await file.writeFile(content);
      await file.sync();
    }
    await rename(unfinished, directory.child(name));
    await directory.handle.sync();
  } catch (error) {
    throw volumeError(error, "write", `${directory.path}/${name}`);
  }
}
