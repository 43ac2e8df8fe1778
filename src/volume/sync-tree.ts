import { volumeError } from "./errors.ts";
import { lostAndFound } from "./path.ts";
import { openAnyway } from "./remove-tree.ts";
import { entriesOf, type OpenDirectory, openDirectory } from "./tree.ts";

/**
 * Puts the entries of all directories below the target on stable storage: an earlier run may have died before it did.
 * For volumes whose files are synced one by one. Throws CopyError `volume`, or the signal's reason.
 */
export async function syncTree(root: string, signal: AbortSignal): Promise<void> {
  await using directory = await openDirectory(root);
  await syncBelow(directory, lostAndFound, signal);
}

async function syncBelow(directory: OpenDirectory, skip: string | undefined, signal: AbortSignal): Promise<void> {
  for await (const entry of entriesOf(directory)) {
    signal.throwIfAborted();
    if (!entry.isDirectory() || entry.name === skip) continue;
    await using child = await openAnyway(directory, entry.name);
    await syncBelow(child, undefined, signal);
  }
  try {
    await directory.handle.sync();
  } catch (error) {
    throw volumeError(error, "sync directory", directory.path);
  }
}
