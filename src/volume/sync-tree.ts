import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { Batch } from "./batch.ts";
import { volumeError } from "./errors.ts";
import { lostAndFound } from "./path.ts";
import { openAnyway } from "./remove-tree.ts";
import { entriesOf, type OpenDirectory, openDirectory } from "./tree.ts";

/** With O_NONBLOCK a FIFO that has taken a file's place does not make us wait. */
const fileFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Files that are synced at once. */
const filesAtOnce = 16;

interface SyncOptions {
  /** `directories` where each file was synced by who wrote it, and an earlier run may have died before it synced their names. */
  readonly what: "directories" | "files and directories";
}

/**
 * Puts what is below the target on stable storage, for volumes that cannot be synced as a whole. Throws CopyError `volume`,
 * or the signal's reason.
 */
export async function syncTree(root: string, { what }: SyncOptions, signal: AbortSignal): Promise<void> {
  await using directory = await openDirectory(root);
  await syncBelow(directory, { skip: lostAndFound, files: what !== "directories" }, signal);
}

async function syncBelow(
  directory: OpenDirectory,
  { skip, files }: { readonly skip: string | undefined; readonly files: boolean },
  signal: AbortSignal,
): Promise<void> {
  const syncs = new Batch(filesAtOnce);
  try {
    for await (const entry of entriesOf(directory)) {
      signal.throwIfAborted();
      if (entry.isFile() && files) await syncs.add(syncFile(directory, entry.name));
      if (entry.isDirectory() && entry.name !== skip) {
        await using child = await openAnyway(directory, entry.name);
        await syncBelow(child, { skip: undefined, files }, signal);
      }
    }
  } finally {
    await syncs.end();
  }
  try {
    await directory.handle.sync();
  } catch (error) {
    throw volumeError(error, "sync directory", directory.path);
  }
}

async function syncFile(directory: OpenDirectory, name: string): Promise<void> {
  try {
    await using file = await open(directory.child(name), fileFlags);
    await file.sync();
  } catch (error) {
    throw volumeError(error, "sync", `${directory.path}/${name}`);
  }
}
