import { constants } from "node:fs";
import { lstat, mkdir, open, rename, rmdir, unlink } from "node:fs/promises";
import { CopyError } from "../errors.ts";
import { replaceFile, unfinishedSuffix } from "./atomic-file.ts";
import { isOfCopy } from "./copy-work.ts";
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
/** The record's name from the moment on at which all is in place and on stable storage, and only our state has to go. */
const completeName = "complete.json";
const maxRecordBytes = 2 ** 20;
const mostAttempts = 100;

/** What a state directory says of the volume; `complete`: the run that left it had only itself to remove. */
export type FoundOwner =
  | Exclude<OwnerState, { readonly status: "ours" }>
  | (Extract<OwnerState, { readonly status: "ours" }> & { readonly complete: boolean });

/** Who owns the data on the volume, as far as the state directory says. Throws CopyError `volume` if it cannot be read. */
export async function readOwnerRecord(root: string): Promise<FoundOwner> {
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
  for (const name of [recordName, completeName]) {
    const text = await readRecord(state, name);
    const found = text === undefined ? undefined : parseOwnerRecord(text);
    if (found) return found.status === "ours" ? { ...found, complete: name === completeName } : found;
  }
  for await (const { name } of entriesOf(state)) {
    // A run that died while it made or removed its state leaves no more than this.
    if (name.endsWith(unfinishedSuffix)) continue;
    if (isOfCopy(name)) {
      return {
        status: "foreign",
        reason: "a copy into the target is unfinished, and its temporary files may be there",
      };
    }
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
  fresh: Pick<OwnerRecord, "fingerprint" | "source" | "startedEmpty" | "filledSinceMs" | "firstStartedAt">,
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

/**
 * Removes the state directory of a volume that is complete and on stable storage, the record last, and puts the removal
 * on stable storage. A run that dies meanwhile leaves a record that says so, or none. Throws CopyError.
 */
export async function removeState(root: string): Promise<void> {
  await using directory = await openDirectory(root);
  try {
    if ((await lookAt(`${root}/${stateDirectory}`)) !== undefined) await removeStateIn(directory);
    await directory.handle.sync();
  } catch (error) {
    throw volumeError(error, "remove", `${root}/${stateDirectory}`);
  }
}

/** Throws CopyError `volume` unless the record that the present attempt began with is still there. */
export async function expectRecord(root: string): Promise<void> {
  if ((await readOwnerRecord(root)).status === "ours") return;
  throw new CopyError("volume", `somebody else has removed files from the target ${root} during the run`);
}

async function removeStateIn(directory: OpenDirectory): Promise<void> {
  {
    await using state = await openChild(directory, stateDirectory);
    await unlessMissing(rename(state.child(recordName), state.child(completeName)));
    await state.handle.sync();
    // Once it has begun the removal is not given up: see the contract on signals.
    await removeContents(state, new Set([completeName]), new AbortController().signal);
    await state.handle.sync();
    await unlessMissing(unlink(state.child(completeName)));
  }
  await rmdir(directory.child(stateDirectory));
}

/** Opens the state directory, made first if need be. Throws CopyError `volume`. */
export async function openState(root: string): Promise<OpenDirectory> {
  await using directory = await openDirectory(root);
  for (let attempt = 1; ; attempt++) {
    try {
      await mkdir(directory.child(stateDirectory), 0o700);
      await directory.handle.sync();
    } catch (error) {
      if (errnoOf(error) !== "EEXIST") throw volumeError(error, "make", `${root}/${stateDirectory}`);
    }
    try {
      // Awaited here: the root is closed on the way out.
      return await openChild(directory, stateDirectory);
    } catch (error) {
      // Another shard of a copy was complete, and removed it.
      const isGone = error instanceof CopyError && errnoOf(error.cause) === "ENOENT";
      if (!isGone || attempt === mostAttempts) throw error;
    }
  }
}

async function writeRecord(root: string, record: OwnerRecord): Promise<void> {
  await using state = await openState(root);
  await replaceFile(state, recordName, stringifyOwnerRecord(record));
}

async function readRecord(state: OpenDirectory, name: string): Promise<string | undefined> {
  try {
    // Not to hang on a FIFO that someone put there.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    await using file = await open(state.child(name), flags);
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(size, maxRecordBytes)), 0, null, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw volumeError(error, "read", `${state.path}/${name}`);
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

async function unlessMissing(change: Promise<void>): Promise<void> {
  try {
    await change;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
