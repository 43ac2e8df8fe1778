import { release } from "node:os";
import { CopyError } from "../errors.ts";
import { filesystem, filesystemType } from "./filesystem-type.ts";
import { runHelper } from "./helper-process.ts";
import { expectSame, identify } from "./same-directory.ts";
import { syncDirectory } from "./sync-directory.ts";

export interface Durability {
  /**
   * `syncfs`: `sync` covers everything written before it. `fsync`: files and directories are synced one by one by who
   * writes them, and `sync` adds the root. `none`: nothing is written.
   */
  readonly method: "syncfs" | "fsync" | "none";
  /**
   * Resolves when what was written before the call is on stable storage, and the target still is where it was. Throws
   * CopyError `volume`, which no retry mends, or the signal's reason.
   */
  sync(signal?: AbortSignal): Promise<void>;
}

/**
 * The filesystems whose syncfs(2) flushes everything and reports write-back errors. Not here: FUSE (may not flush at
 * all), overlay (errors of the upper layer get lost before 5.15), NFS, CIFS, 9p, Ceph. On a tmpfs there is nothing to flush.
 */
const syncfsIsSound: ReadonlySet<number> = new Set([
  filesystem.ext,
  filesystem.xfs,
  filesystem.btrfs,
  filesystem.f2fs,
  filesystem.tmpfs,
]);

/** Before Linux 5.8 syncfs(2) returned success after a failed write-back. */
const firstSoundKernel = [5, 8] as const;

/** Chooses how data gets to stable storage on `root`, and tries it. Throws CopyError `volume` if the target cannot be synced at all. */
export async function chooseDurability(root: string, options: { readonly dryRun: boolean }): Promise<Durability> {
  if (options.dryRun) return { method: "none", sync: () => Promise.resolve() };
  const identity = await identify(root);
  // Afterwards, so that a path that leads elsewhere shows itself even if that happened while it was synced.
  const checked = (sync: () => Promise<void>) =>
    oneAtATime(async () => {
      await sync();
      await expectSame(root, identity);
    });
  if (reportsWriteBackErrors(release()) && syncfsIsSound.has(await filesystemType(root))) {
    const { exitCode } = await runHelper("sync", ["-f", root]);
    if (exitCode === 0) return { method: "syncfs", sync: checked(() => syncFilesystem(root)) };
  }
  // No usable `sync -f`, or one that failed: fsync tells which, in a sentence of its own.
  await syncDirectory(root);
  return { method: "fsync", sync: checked(() => syncDirectory(root)) };
}

/** Whether syncfs(2) of this kernel release reports write-back errors. */
export function reportsWriteBackErrors(kernelRelease: string): boolean {
  const [major = 0, minor = 0] = kernelRelease.split(/[.-]/).map(Number);
  return major > firstSoundKernel[0] || (major === firstSoundKernel[0] && minor >= firstSoundKernel[1]);
}

async function syncFilesystem(root: string): Promise<void> {
  const { exitCode, complaint } = await runHelper("sync", ["-f", root]);
  if (exitCode === 0) return;
  const detail = complaint === "" ? `exit code ${exitCode ?? "unknown"}` : complaint;
  throw new CopyError("volume", `the target ${root} could not be synced to stable storage: ${detail}`);
}

/**
 * Runs `sync` for one caller after the other; a caller that gives up does not let the next one start earlier. After a
 * failure all fail: the system tells of lost bytes once only.
 */
function oneAtATime(sync: () => Promise<void>): (signal?: AbortSignal) => Promise<void> {
  let last: Promise<unknown> = Promise.resolve();
  let failure: { readonly error: unknown } | undefined;
  const syncUnlessBroken = async (): Promise<void> => {
    if (failure) throw failure.error;
    try {
      await sync();
    } catch (error) {
      failure = { error };
      throw error;
    }
  };
  return async (signal) => {
    signal?.throwIfAborted();
    const turn = last.then(() => {
      signal?.throwIfAborted();
      return syncUnlessBroken();
    });
    last = turn.catch(() => {});
    await (signal === undefined ? turn : unlessAborted(turn, signal));
  };
}

async function unlessAborted(turn: Promise<void>, signal: AbortSignal): Promise<void> {
  let onAbort = () => {};
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    await Promise.race([turn, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
