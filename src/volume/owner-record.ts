import { constants } from "node:fs";
import { lstat, mkdir, open, rmdir, unlink } from "node:fs/promises";
import { replaceFile, unfinishedSuffix } from "./atomic-file.ts";
import { describeKind, errnoOf, volumeError } from "./errors.ts";
import {
  nextAttempt,
  type OwnerRecord,
  type OwnerState,
  parseOwnerRecord,
  type RecordedFailure,
  stringifyOwnerRecord,
  withFailure,
} from "./owner-format.ts";
import { stateDirectory } from "./path.ts";
import { removeContents } from "./remove-tree.ts";
import { entriesOf, type OpenDirectory, openChild, openDirectory } from "./tree.ts";

const recordName = "owner.json";
const maxRecordBytes = 2 ** 20;

/** Who owns the data on the volume, as far as the state directory says. Throws CopyError `volume` if it cannot be read. */
export async function readOwnerRecord(root: string): Promise<OwnerState> {
  const stats = await lookAt(`${root}/${stateDirectory}`);
  if (stats === undefined) return { status: "absent" };
  if (!stats.isDirectory()) {
    return {
      status: "foreign",
      reason: `\`${stateDirectory}\` on the target is ${describeKind(stats)}, not our directory`,
    };
  }
  await using directory = await openDirectory(root);
  await using state = await openChild(directory, stateDirectory);
  const text = await readRecord(state);
  if (text !== undefined) return parseOwnerRecord(text);
  for await (const { name } of entriesOf(state)) {
    // A run that died while it made or removed its state leaves no more than this.
    if (name.endsWith(unfinishedSuffix)) continue;
    return {
      status: "damaged",
      reason: `\`${stateDirectory}\` on the target has \`${name}\` but no \`${recordName}\``,
    };
  }
  return { status: "absent" };
}

/**
 * Notes on stable storage that an attempt begins, before its first file. `previous` is the record of the same work that
 * an earlier attempt left. Throws CopyError.
 */
export async function beginAttempt(
  root: string,
  fresh: Pick<OwnerRecord, "fingerprint" | "source" | "startedEmpty" | "firstStartedAt">,
  previous?: OwnerRecord,
): Promise<OwnerRecord> {
  const record = nextAttempt(fresh, previous);
  await writeRecord(root, record);
  return record;
}

/** Notes how the present attempt ended, for the next one's log and for the length of its hold. Throws CopyError. */
export async function recordFailure(
  root: string,
  record: OwnerRecord,
  failure: Omit<RecordedFailure, "inARow">,
): Promise<OwnerRecord> {
  const updated = withFailure(record, failure);
  await writeRecord(root, updated);
  return updated;
}

/** Removes the state directory, the record last, and puts the removal on stable storage. Throws CopyError. */
export async function removeState(root: string): Promise<void> {
  if ((await lookAt(`${root}/${stateDirectory}`)) === undefined) return;
  await using directory = await openDirectory(root);
  try {
    {
      await using state = await openChild(directory, stateDirectory);
      // Once it has begun the removal is not given up: see the contract on signals.
      await removeContents(state, new Set([recordName]), new AbortController().signal);
      await state.handle.sync();
      await unlinkIfThere(state.child(recordName));
    }
    await rmdir(directory.child(stateDirectory));
    await directory.handle.sync();
  } catch (error) {
    throw volumeError(error, "remove", `${root}/${stateDirectory}`);
  }
}

/** Opens the state directory, made first if need be. Throws CopyError `volume`. */
export async function openState(root: string): Promise<OpenDirectory> {
  await using directory = await openDirectory(root);
  try {
    await mkdir(directory.child(stateDirectory), 0o700);
    await directory.handle.sync();
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw volumeError(error, "make", `${root}/${stateDirectory}`);
  }
  // Awaited here: the root is closed on the way out.
  return await openChild(directory, stateDirectory);
}

async function writeRecord(root: string, record: OwnerRecord): Promise<void> {
  await using state = await openState(root);
  await replaceFile(state, recordName, stringifyOwnerRecord(record));
}

async function readRecord(state: OpenDirectory): Promise<string | undefined> {
  try {
    // Not to hang on a FIFO that someone put there.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    await using file = await open(state.child(recordName), flags);
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(size, maxRecordBytes)), 0, null, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw volumeError(error, "read", `${state.path}/${recordName}`);
  }
}

async function lookAt(path: string) {
  try {
    return await lstat(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw volumeError(error, "look at", path);
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
