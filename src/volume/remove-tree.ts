import { constants } from "node:fs";
import { chmod, open, rmdir, unlink } from "node:fs/promises";
import { Batch } from "./batch.ts";
import { errnoOf, volumeError } from "./errors.ts";
import { entriesOf, type OpenDirectory, openChild } from "./tree.ts";

/** Unlinks that are on their way to the thread pool at once. */
const unlinksAtOnce = 64;
/** O_PATH of Linux, which Node does not name: a descriptor that needs no permission on what it stands for. */
const pathOnly = 0o10000000;

/**
 * Removes everything in a directory but the names in `keep`, depth first. Follows no symlink and enters no other
 * filesystem. Throws CopyError `volume`, or the signal's reason.
 */
export async function removeContents(
  directory: OpenDirectory,
  keep: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  // Filesystems may skip entries of a directory that shrinks while it is read: only a look that finds nothing is the last.
  while (await removeFound(directory, keep, signal));
}

/** Whether there was anything to remove. */
async function removeFound(directory: OpenDirectory, keep: ReadonlySet<string>, signal: AbortSignal): Promise<boolean> {
  let found = false;
  const unlinks = new Batch(unlinksAtOnce);
  try {
    for await (const entry of entriesOf(directory)) {
      signal.throwIfAborted();
      if (keep.has(entry.name)) continue;
      found = true;
      if (entry.isDirectory()) await removeDirectory(directory, entry.name, signal);
      else await unlinks.add(removeFile(directory, entry.name));
    }
  } finally {
    await unlinks.end();
  }
  return found;
}

async function removeDirectory(parent: OpenDirectory, name: string, signal: AbortSignal): Promise<void> {
  {
    await using child = await openAnyway(parent, name);
    await removeContents(child, new Set(), signal);
  }
  try {
    await rmdir(parent.child(name));
  } catch (error) {
    throw volumeError(error, "remove", `${parent.path}/${name}`);
  }
}

/** Opens a directory of ours even if its final mode locks us out; then it has mode 0700. Throws CopyError `volume`. */
export async function openAnyway(parent: OpenDirectory, name: string): Promise<OpenDirectory> {
  try {
    const child = await openChild(parent, name);
    if (((await child.handle.stat()).mode & 0o700) !== 0o700) await child.handle.chmod(0o700).catch(() => {});
    return child;
  } catch (error) {
    if (!(error instanceof Error) || errnoOf(error.cause) !== "EACCES") throw error;
  }
  await openUp(parent, name);
  return openChild(parent, name);
}

async function openUp(parent: OpenDirectory, name: string): Promise<void> {
  const { O_DIRECTORY, O_NOFOLLOW } = constants;
  try {
    await using handle = await open(parent.child(name), pathOnly | O_DIRECTORY | O_NOFOLLOW);
    // fchmod(2) refuses a path-only descriptor; its name in /proc leads to the very same directory.
    await chmod(`/proc/self/fd/${handle.fd}`, 0o700);
  } catch (error) {
    throw volumeError(error, "open", `${parent.path}/${name}`);
  }
}

async function removeFile(directory: OpenDirectory, name: string): Promise<void> {
  try {
    await unlink(directory.child(name));
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw volumeError(error, "remove", `${directory.path}/${name}`);
  }
}
