import { lstat, rmdir, unlink } from "node:fs/promises";
import { CopyError } from "../errors.ts";
import { Batch } from "./batch.ts";
import { errnoOf, volumeError } from "./errors.ts";
import { lostAndFound, stateDirectory, temporaryPrefix, versionOfTemporary } from "./path.ts";
import { openAnyway } from "./remove-tree.ts";
import { entriesOf, type OpenDirectory, openChild, openDirectory } from "./tree.ts";

export interface PruneOptions {
  /**
   * Last key handed out, below the directory that is copied (a marker with its slash); undefined: none, so that
   * everything is beyond it.
   */
  readonly frontier: string | undefined;
  /** Whether a file, or a directory (with a trailing slash), is on the open list and stays. */
  readonly keep: (path: string) => boolean;
  /** Whether the selection would have made this file. */
  readonly selected: (path: string) => boolean;
}

export interface Pruned {
  readonly files: number;
  readonly directories: number;
}

/** Unlinks that are on their way to the thread pool at once. */
const unlinksAtOnce = 64;
/** Filesystems may skip entries of a directory that shrinks while it is read. */
const mostPasses = 8;

/**
 * Removes the files that this selection made beyond the frontier, in the byte order of keys, and the directories there
 * that are empty then. Only for volumes that began empty: what is there is ours. Directories wholly before the frontier
 * are not entered; no symlink is followed, no other filesystem entered. What it changed in directories that stay is on
 * stable storage. Throws CopyError `volume`, or the signal's reason.
 */
export async function pruneBeyond(root: string, options: PruneOptions, signal: AbortSignal): Promise<Pruned> {
  const pass: Pass = { options, signal, files: 0, directories: 0 };
  await using directory = await openDirectory(root);
  await pruneDirectory(directory, { path: "", frontier: Buffer.from(options.frontier ?? "") }, pass);
  return { files: pass.files, directories: pass.directories };
}

/**
 * Removes temporary files of earlier runs below the target, as far as `isOurs` takes their version for one that nobody
 * wants any more: regular files with one link only. Leaves out directories that cannot be opened, other filesystems, and
 * directories with a state of their own, which are another run's target. Returns how many went. Throws CopyError `volume`,
 * or the signal's reason.
 */
export async function removeStaleTemporaries(
  root: string,
  isOurs: (version: string) => boolean,
  signal: AbortSignal,
): Promise<number> {
  await using directory = await openDirectory(root);
  const sweep: Sweep = { isOurs, signal, removed: 0 };
  await removeTemporariesIn(directory, new Set([lostAndFound, stateDirectory]), sweep);
  return sweep.removed;
}

interface Sweep {
  readonly isOurs: (version: string) => boolean;
  readonly signal: AbortSignal;
  removed: number;
}

async function removeTemporariesIn(directory: OpenDirectory, skip: ReadonlySet<string>, sweep: Sweep): Promise<void> {
  let here = 0;
  for (let pass = 1, before = -1; pass <= mostPasses && here !== before; pass++) {
    before = here;
    for await (const entry of entriesOf(directory)) {
      sweep.signal.throwIfAborted();
      if (entry.isFile()) here += await removeTemporary(directory, entry.name, sweep);
      else if (pass === 1 && entry.isDirectory() && !skip.has(entry.name))
        await sweepChild(directory, entry.name, sweep);
    }
  }
  if (here > 0) await syncHeld(directory);
}

async function sweepChild(parent: OpenDirectory, name: string, sweep: Sweep): Promise<void> {
  await using child = await openIfPossible(parent, name);
  if (child !== undefined && !(await isTarget(child))) await removeTemporariesIn(child, noNames, sweep);
}

/** How many files that was: 1 or 0. */
async function removeTemporary(directory: OpenDirectory, name: string, sweep: Sweep): Promise<number> {
  const version = versionOfTemporary(name);
  if (version === undefined || !sweep.isOurs(version)) return 0;
  if (!(await removed(unlinkSingle, directory, name))) return 0;
  sweep.removed++;
  return 1;
}

const noNames: ReadonlySet<string> = new Set();

/** A copy's target may hold directories of others. */
async function openIfPossible(parent: OpenDirectory, name: string): Promise<OpenDirectory | undefined> {
  try {
    return await openChild(parent, name);
  } catch (error) {
    if (error instanceof CopyError) return undefined;
    throw error;
  }
}

async function isTarget(directory: OpenDirectory): Promise<boolean> {
  return lstat(directory.child(stateDirectory)).then(
    () => true,
    () => false,
  );
}

async function unlinkSingle(path: string): Promise<boolean> {
  const stats = await lstat(path);
  // A second hard link would mean that it is not ours.
  if (!stats.isFile() || stats.nlink !== 1) return false;
  await unlink(path);
  return true;
}

interface Pass {
  readonly options: PruneOptions;
  readonly signal: AbortSignal;
  files: number;
  directories: number;
}

/** A directory and the frontier as seen from inside it: what follows the directory's own path; empty when all is beyond. */
interface Place {
  /** "" or with a trailing slash. */
  readonly path: string;
  readonly frontier: Uint8Array;
}

const everythingBeyond = new Uint8Array(0);

async function pruneDirectory(directory: OpenDirectory, place: Place, pass: Pass): Promise<void> {
  let changed = false;
  for (let i = 0; i < mostPasses; i++) {
    if (!(await pruneOnce(directory, place, pass))) break;
    changed = true;
  }
  // Else a crash could bring back what a later checkpoint takes for finished.
  if (changed) await syncHeld(directory);
}

async function syncHeld(directory: OpenDirectory): Promise<void> {
  try {
    await directory.handle.sync();
  } catch (error) {
    throw volumeError(error, "sync directory", directory.path);
  }
}

/** Whether something in the directory itself was removed. */
async function pruneOnce(directory: OpenDirectory, place: Place, pass: Pass): Promise<boolean> {
  const { keep, selected } = pass.options;
  let changed = false;
  const unlinks = new Batch(unlinksAtOnce);
  const unlinkChild = async (name: string): Promise<void> => {
    if (await removed(unlink, directory, name)) {
      pass.files++;
      changed = true;
    }
  };
  try {
    for await (const entry of entriesOf(directory)) {
      pass.signal.throwIfAborted();
      if (isNoKey(entry.name, place.path)) continue;
      const path = place.path + entry.name;
      if (entry.isDirectory()) {
        if (await pruneChild(directory, entry.name, place, pass)) changed = true;
      } else if (entry.isFile() && isBeyond(entry.name, place.frontier) && selected(path) && !keep(path)) {
        await unlinks.add(unlinkChild(entry.name));
      }
    }
  } finally {
    await unlinks.end();
  }
  return changed;
}

/** Whether the child was removed. */
async function pruneChild(parent: OpenDirectory, name: string, place: Place, pass: Pass): Promise<boolean> {
  const path = `${place.path}${name}/`;
  const frontier = frontierBelow(name, place.frontier);
  if (frontier === undefined) return false;
  {
    await using child = await openAnyway(parent, name);
    await pruneDirectory(child, { path, frontier }, pass);
  }
  // The key of the frontier, or one before it, needs its own directory.
  if (!isBeyond(`${name}/`, place.frontier) || pass.options.keep(path)) return false;
  const gone = await removed(rmdir, parent, name);
  if (gone) pass.directories++;
  return gone;
}

/** The frontier as seen from inside a child directory; undefined if all of it lies before the frontier. */
function frontierBelow(name: string, frontier: Uint8Array): Uint8Array | undefined {
  const prefix = Buffer.from(`${name}/`);
  if (prefix.equals(frontier.subarray(0, prefix.length))) return frontier.subarray(prefix.length);
  return prefix.compare(frontier) > 0 ? everythingBeyond : undefined;
}

function isBeyond(name: string, frontier: Uint8Array): boolean {
  return frontier.length === 0 || Buffer.from(name).compare(frontier) > 0;
}

/** Names that no key can have. */
function isNoKey(name: string, parentPath: string): boolean {
  if (name.startsWith(temporaryPrefix)) return true;
  return parentPath === "" && (name === stateDirectory || name === lostAndFound);
}

/** False for what was gone already, and for a directory that still holds something. */
async function removed(
  remove: (path: string) => Promise<unknown>,
  directory: OpenDirectory,
  name: string,
): Promise<boolean> {
  try {
    return (await remove(directory.child(name))) !== false;
  } catch (error) {
    const code = errnoOf(error);
    if (code === "ENOENT" || code === "ENOTEMPTY" || code === "EEXIST") return false;
    throw volumeError(error, "remove", `${directory.path}/${name}`);
  }
}
