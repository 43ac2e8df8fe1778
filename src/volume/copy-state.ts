import fs, { constants } from "node:fs";
import { lstat, rmdir, unlink } from "node:fs/promises";
import { promisify } from "node:util";
import { CopyError } from "../errors.ts";
import { unfinishedSuffix } from "./atomic-file.ts";
import { loadCheckpoint, saveCheckpoint } from "./checkpoint-file.ts";
import { type CopyWork, checkpointNameOf, lockNameOf, workOfLock } from "./copy-work.ts";
import { describeKind, errnoOf, volumeError } from "./errors.ts";
import { acquireLock, type LockOptions, type TargetLock } from "./lock.ts";
import { openState } from "./owner-record.ts";
import { stateDirectory } from "./path.ts";
import { pooled } from "./pooled.ts";
import { entriesOf, type OpenDirectory, openDirectory } from "./tree.ts";

/** O_NONBLOCK: not to hang on a FIFO that someone put there. Network filesystems lock only what is open for writing. */
const openFlags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const fstat = promisify(fs.fstat);

/**
 * What one copy, or one shard of it, has in the state directory until it is complete: a locked file, which says that
 * temporary files of it may be below the target, and a checkpoint.
 */
export class CopyState implements AsyncDisposable {
  readonly work: CopyWork;
  /** Whether an earlier run has left its state, and perhaps temporary files. */
  readonly existed: boolean;
  readonly #root: string;
  readonly #lock: TargetLock;

  private constructor(root: string, work: CopyWork, existed: boolean, lock: TargetLock) {
    this.#root = root;
    this.work = work;
    this.existed = existed;
    this.#lock = lock;
  }

  /**
   * Locks a work on the target for this process; its state is on stable storage then. Throws CopyError `busy` if another
   * process still holds it after `waitMs`, `volume`, or the signal's reason.
   */
  static async hold(root: string, work: CopyWork, options: LockOptions, signal: AbortSignal): Promise<CopyState> {
    for (;;) {
      await using directory = await openState(root);
      const opened = await openLockFile(directory, lockNameOf(work));
      if (opened === undefined) continue;
      const { descriptor, existed } = opened;
      let lock: TargetLock | undefined;
      try {
        lock = await acquireLock(describe(root, work), descriptor, options, signal);
      } finally {
        if (!lock?.held) await pooled.close(descriptor).catch(() => {});
      }
      // Whoever held it before may have been complete, and have removed the file that we have locked now.
      const current = !lock.held || (await isSameFile(directory, lockNameOf(work), descriptor));
      if (current) return new CopyState(root, work, existed, lock);
      await lock[Symbol.asyncDispose]();
    }
  }

  /** False where the target cannot be locked; then nothing keeps others off. */
  get held(): boolean {
    return this.#lock.held;
  }

  /** Why it is not held, in one sentence. */
  get warning(): string | undefined {
    return this.#lock.warning;
  }

  /** The text of the last checkpoint, whoever wrote it; undefined if there is none. Throws CopyError `volume`. */
  load(): Promise<string | undefined> {
    return loadCheckpoint(this.#root, checkpointNameOf(this.work));
  }

  /** Puts a checkpoint on stable storage; what it speaks of must be there already. Throws CopyError. */
  save(text: string): Promise<void> {
    return saveCheckpoint(this.#root, text, checkpointNameOf(this.work));
  }

  /**
   * Removes all state of this work, the locked file last, and the state directory if nothing else is in it; that is on
   * stable storage then. To be called when no temporary file of it is left. Throws CopyError `volume`.
   */
  async remove(): Promise<void> {
    const checkpoint = checkpointNameOf(this.work);
    try {
      await using root = await openDirectory(this.#root);
      {
        await using directory = await openState(this.#root);
        await unlinkIfThere(directory.child(checkpoint + unfinishedSuffix));
        await unlinkIfThere(directory.child(checkpoint));
        await directory.handle.sync();
        await unlinkIfThere(directory.child(lockNameOf(this.work)));
        await directory.handle.sync();
      }
      await removeIfEmpty(root.child(stateDirectory));
      await root.handle.sync();
    } catch (error) {
      throw volumeError(error, "remove the state of this copy from", `${this.#root}/${stateDirectory}`);
    }
  }

  /** Ends the lock; the state stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock[Symbol.asyncDispose]();
  }
}

/**
 * Locks what killed runs of the same source have left under another number of shards, as far as no process is at it.
 * Throws CopyError `volume`, or the signal's reason.
 */
export async function holdOtherDivisions(root: string, work: CopyWork, signal: AbortSignal): Promise<CopyState[]> {
  const others: CopyWork[] = [];
  {
    await using directory = await openState(root);
    for await (const { name } of entriesOf(directory)) {
      const other = workOfLock(name);
      if (other?.source === work.source && other.count !== work.count) others.push(other);
    }
  }
  const held: CopyState[] = [];
  for (const other of others) {
    const state = await holdIfFree(root, other, signal);
    if (state) held.push(state);
  }
  return held;
}

async function holdIfFree(root: string, work: CopyWork, signal: AbortSignal): Promise<CopyState | undefined> {
  try {
    const state = await CopyState.hold(root, work, { waitMs: 0, onWait: () => {} }, signal);
    return state.held ? state : undefined;
  } catch (error) {
    if (error instanceof CopyError && error.kind === "busy") return undefined;
    throw error;
  }
}

function describe(root: string, { index, count }: CopyWork): string {
  return count === 1 ? root : `shard ${index} of ${count} of ${root}`;
}

/** Undefined when the state directory was removed meanwhile. */
async function openLockFile(
  directory: OpenDirectory,
  name: string,
): Promise<{ readonly descriptor: number; readonly existed: boolean } | undefined> {
  try {
    const made = await openOr("EEXIST", directory.child(name), openFlags | constants.O_CREAT | constants.O_EXCL);
    if (made !== undefined) {
      await directory.handle.sync();
      return { descriptor: made, existed: false };
    }
    const descriptor = await openOr("ENOENT", directory.child(name), openFlags);
    if (descriptor === undefined) return undefined;
    const stats = await fstat(descriptor);
    if (stats.isFile()) return { descriptor, existed: true };
    await pooled.close(descriptor);
    throw new CopyError("volume", `${directory.path}/${name} is ${describeKind(stats)}, not a file of ours`);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw volumeError(error, "open", `${directory.path}/${name}`);
  }
}

/** Undefined if it fails with that code. */
async function openOr(code: string, path: string, flags: number): Promise<number | undefined> {
  try {
    return await pooled.open(path, flags, 0o600);
  } catch (error) {
    if (errnoOf(error) === code) return undefined;
    throw error;
  }
}

async function isSameFile(directory: OpenDirectory, name: string, descriptor: number): Promise<boolean> {
  try {
    const [named, open] = await Promise.all([lstat(directory.child(name)), fstat(descriptor)]);
    return named.ino === open.ino && named.dev === open.dev;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw volumeError(error, "look at", `${directory.path}/${name}`);
  }
}

async function removeIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    const code = errnoOf(error);
    if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOENT") throw error;
  }
}

async function unlinkIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}
