import { constants } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { volumeError } from "./errors.ts";
import type { OpenDirectory } from "./tree.ts";

/** Ends the names of files that were never completed. */
export const unfinishedSuffix = ".tmp";

/** A name that is taken is never written through: it could be a hard link or a FIFO. */
const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/**
 * Replaces a file so that after a crash the old or the new content is there, and after success the new; what is not
 * `durable` may be gone after a crash of the machine. Throws CopyError.
 */
export async function replaceFile(
  directory: OpenDirectory,
  name: string,
  content: string | Uint8Array,
  { durable = true } = {},
): Promise<void> {
  const unfinished = directory.child(name + unfinishedSuffix);
  try {
    await rm(unfinished, { force: true });
    {
      await using file = await open(unfinished, flags, 0o600);
      await file.writeFile(content);
      if (durable) await file.sync();
    }
    await rename(unfinished, directory.child(name));
    if (durable) await directory.handle.sync();
  } catch (error) {
    // On a full volume even this little room is wanted back.
    await rm(unfinished, { force: true }).catch(() => {});
    throw volumeError(error, "write", `${directory.path}/${name}`);
  }
}
