import type { Stats } from "node:fs";
import { lstat } from "node:fs/promises";
import { type Attributes, directoryLacks, keepsUsOut, wantedDirectoryMode } from "./attributes.ts";
import { volumeError } from "./errors.ts";
import { readIdentity } from "./identity.ts";
import { lostAndFound, stateDirectory } from "./path.ts";
import { entriesOf, type OpenDirectory, openChild, openDirectory } from "./tree.ts";

export interface FinishOptions {
  readonly root: string;
  readonly attributes: Attributes;
  /** Whether the root gets the directories' owner, group and mode. */
  readonly chownRoot: boolean;
  /** Whether an earlier run may have died between making a directory and giving it its attributes. */
  readonly resumed: boolean;
  /** Directories born before this moment of the filesystem's clock are not ours; undefined where all are. */
  readonly madeSinceMs?: number | undefined;
  /** Whether each directory is synced here, because no sync of the whole volume follows. */
  readonly fsync: boolean;
}

/**
 * Last pass of populate. Directories normally get their attributes as they are made; only those that would have kept us
 * out still lack them, and those of a run that died in between: then, and only then, the tree is walked. Children come
 * before their parent, which may become unreachable. Throws CopyError `volume`, or the signal's reason.
 */
export async function finishDirectories(options: FinishOptions, signal: AbortSignal): Promise<void> {
  const deferred = keepsUsOut(options.attributes, readIdentity());
  if (!deferred && !options.resumed && !options.chownRoot) return;
  await using root = await openDirectory(options.root);
  const skip = new Set([lostAndFound, stateDirectory]);
  if (deferred || options.resumed) await finishBelow(root, { options, deferred, skip, signal });
  if (options.chownRoot) await finish(root, options, await root.handle.stat());
}

const nothing: ReadonlySet<string> = new Set();

interface Pass {
  readonly options: FinishOptions;
  readonly deferred: boolean;
  readonly skip: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

async function finishBelow(parent: OpenDirectory, pass: Pass): Promise<void> {
  const { options, deferred, signal } = pass;
  for await (const entry of entriesOf(parent)) {
    signal.throwIfAborted();
    if (!entry.isDirectory() || pass.skip.has(entry.name)) continue;
    // Where attributes were deferred, a directory that has them was finished by an earlier run, children first; it may
    // not even let us look inside.
    if (deferred && (await isFinished(parent, entry.name, options.attributes))) continue;
    await using directory = await openChild(parent, entry.name);
    const stats = await directory.handle.stat();
    const lacks = directoryLacks(stats, options.attributes);
    await finishBelow(directory, { ...pass, skip: nothing });
    const ours = options.madeSinceMs === undefined || stats.birthtimeMs >= options.madeSinceMs;
    if (ours && (lacks.mode || lacks.owner)) await finish(directory, options, stats);
  }
}

async function isFinished(parent: OpenDirectory, name: string, attributes: Attributes): Promise<boolean> {
  try {
    const lacks = directoryLacks(await lstat(parent.child(name)), attributes);
    return !lacks.mode && !lacks.owner;
  } catch (error) {
    throw volumeError(error, "look at", `${parent.path}/${name}`);
  }
}

async function finish(directory: OpenDirectory, options: FinishOptions, stats: Stats): Promise<void> {
  const { attributes } = options;
  const { handle } = directory;
  const lacks = directoryLacks(stats, attributes);
  try {
    if (lacks.mode) await handle.chmod(wantedDirectoryMode(stats, attributes));
    if (lacks.owner) await handle.chown(attributes.uid ?? -1, attributes.gid ?? -1);
    if (options.fsync) await handle.sync();
  } catch (error) {
    throw volumeError(error, "set the owner and mode of", directory.path);
  }
}
