import { constants } from "node:fs";
import { type FileHandle, lstat, open, unlink } from "node:fs/promises";
import { replaceFile } from "./atomic-file.ts";
import { errnoOf, volumeError } from "./errors.ts";
import { openState } from "./owner-record.ts";
import { stateDirectory } from "./path.ts";
import { type OpenDirectory, openChild, openDirectory } from "./tree.ts";

const checkpointName = "checkpoint";
/** What a checkpoint may take in memory; writers bound theirs far below it. */
const maxCheckpointBytes = 64 * 2 ** 20;

/**
 * Puts a checkpoint on stable storage in place of the former one, which stays if this fails. What the checkpoint speaks of
 * must be on stable storage already. Throws CopyError `volume-full` or `volume`.
 */
export async function saveCheckpoint(root: string, text: string, name = checkpointName): Promise<void> {
  if (Buffer.byteLength(text) > maxCheckpointBytes)
    throw new RangeError("the checkpoint is too large to be read again");
  await using state = await openState(root);
  await replaceFile(state, name, text);
}

/**
 * The text of the last checkpoint, whoever wrote it; undefined if there is none. What is no regular file, or is larger
 * than 64 MiB, reads as empty text, which is never a valid checkpoint. Throws CopyError `volume`.
 */
export async function loadCheckpoint(root: string, name = checkpointName): Promise<string | undefined> {
  await using state = await existingState(root);
  if (state === undefined) return undefined;
  try {
    // Not to follow a symlink or hang on a FIFO that someone put there.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    await using file = await open(state.child(name), flags);
    return await readBounded(file);
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT") return undefined;
    // A symlink, or a socket or device without anyone behind it.
    if (code === "ELOOP" || code === "ENXIO" || code === "ENODEV") return "";
    throw volumeError(error, "read", `${state.path}/${name}`);
  }
}

/** Removes the checkpoint, if there is one, and puts the removal on stable storage. Throws CopyError `volume`. */
export async function dropCheckpoint(root: string): Promise<void> {
  await using state = await existingState(root);
  if (state === undefined) return;
  try {
    await unlink(state.child(checkpointName));
    await state.handle.sync();
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw volumeError(error, "remove", `${state.path}/${checkpointName}`);
  }
}

/** The state directory, opened; undefined where there is none. Throws CopyError `volume`. */
export async function existingState(root: string): Promise<OpenDirectory | undefined> {
  await using directory = await openDirectory(root);
  try {
    await lstat(directory.child(stateDirectory));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw volumeError(error, "look at", `${root}/${stateDirectory}`);
  }
  // Awaited here: the root is closed on the way out.
  return await openChild(directory, stateDirectory);
}

async function readBounded(file: FileHandle): Promise<string> {
  const stats = await file.stat();
  if (!stats.isFile() || stats.size > maxCheckpointBytes) return "";
  // A byte more shows a file that grows meanwhile.
  const bytes = Buffer.allocUnsafe(stats.size + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) return bytes.toString("utf8", 0, length);
    length += bytesRead;
    if (length > stats.size) return "";
  }
}
