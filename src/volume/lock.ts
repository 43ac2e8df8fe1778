import fs, { constants } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";
import { CopyError } from "../errors.ts";
import { describeKind, volumeError } from "./errors.ts";
import { runHelper } from "./helper-process.ts";
import { pooled } from "./pooled.ts";

export interface LockOptions {
  /** `shared` keeps off only those who want the target for themselves; default `exclusive`. */
  readonly mode?: "exclusive" | "shared";
  /** How long to wait for another process that holds the lock. */
  readonly waitMs: number;
  /** Told once, in one sentence, when there is something to wait for. */
  readonly onWait: (sentence: string) => void;
}

/** Keeps other processes of ours off a target until it is disposed of, or until this process dies of whatever cause. */
export interface TargetLock extends AsyncDisposable {
  /** False where the target cannot be locked; then nothing keeps others off. */
  readonly held: boolean;
  /** Why it is not held, in one sentence. */
  readonly warning: string | undefined;
}

const pollMs = 500;
/** With O_NONBLOCK a FIFO does not make us wait for who writes to it. Node adds O_CLOEXEC: no child inherits the lock. */
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** A raw descriptor and not a FileHandle: that one closes, and unlocks, when it is collected as garbage. */
const fstat = promisify(fs.fstat);

/**
 * Locks a target, the real path of a directory or block device, for this process. Throws CopyError `busy` if another
 * still holds it after `waitMs`, `volume` if it cannot be opened, or the signal's reason.
 */
export async function lockTarget(root: string, options: LockOptions, signal: AbortSignal): Promise<TargetLock> {
  signal.throwIfAborted();
  const descriptor = await openTarget(root);
  let locked: TargetLock | undefined;
  try {
    locked = await acquireLock(root, descriptor, options, signal);
  } finally {
    if (!locked?.held) await pooled.close(descriptor).catch(() => {});
  }
  return locked;
}

/**
 * Locks what `descriptor` has open, which stays the caller's unless the lock is held; `what` names it in sentences. Throws
 * CopyError `busy`, or the signal's reason.
 */
export async function acquireLock(
  what: string,
  descriptor: number,
  { mode = "exclusive", waitMs, onWait }: LockOptions,
  signal: AbortSignal,
): Promise<TargetLock> {
  const startMs = performance.now();
  for (let attempt = 1; ; attempt++) {
    const answer = await tryLock(descriptor, mode);
    signal.throwIfAborted();
    if (answer.status === "held") return heldLock(descriptor);
    if (answer.status === "refused") return noLock(what, answer.reason);
    const leftMs = waitMs - (performance.now() - startMs);
    if (leftMs <= 0) throw busy(what, waitMs);
    if (attempt === 1) onWait(waitingFor(what, waitMs));
    await sleep(Math.min(pollMs, leftMs), signal);
  }
}

type Answer = { readonly status: "held" | "busy" } | { readonly status: "refused"; readonly reason: string };

/**
 * flock(2) locks the open file description, which the child shares with us: the lock outlives the child and ends with
 * our descriptor. Node has no flock of its own.
 */
async function tryLock(descriptor: number, mode: "exclusive" | "shared"): Promise<Answer> {
  const args = mode === "shared" ? ["-s", "-n", "3"] : ["-n", "3"];
  const { exitCode, complaint } = await runHelper("flock", args, descriptor);
  if (exitCode === 0) return { status: "held" };
  // util-linux and BusyBox alike: 1 without a word is a conflict, everything else says what is wrong.
  if (exitCode === 1 && complaint === "") return { status: "busy" };
  return { status: "refused", reason: complaint === "" ? `flock ended with ${exitCode ?? "a signal"}` : complaint };
}

async function openTarget(root: string): Promise<number> {
  try {
    const descriptor = await pooled.open(root, openFlags, 0);
    const stats = await fstat(descriptor);
    if (stats.isDirectory() || stats.isBlockDevice()) return descriptor;
    await pooled.close(descriptor);
    throw new CopyError("volume", `the target ${root} is ${describeKind(stats)}, which cannot be locked`);
  } catch (error) {
    throw volumeError(error, "open the target", root);
  }
}

function heldLock(descriptor: number): TargetLock {
  let held = true;
  return {
    held,
    warning: undefined,
    [Symbol.asyncDispose]: async () => {
      if (!held) return;
      held = false;
      await pooled.close(descriptor);
    },
  };
}

function noLock(what: string, reason: string): TargetLock {
  const warning = `${what} cannot be locked (${reason}): make sure that no other process fills it`;
  return { held: false, warning, [Symbol.asyncDispose]: async () => {} };
}

export function waitingFor(what: string, waitMs: number): string {
  return `another process is working on ${what}; waiting up to ${seconds(waitMs)} for its end`;
}

/** The error for a target that another process of ours did not leave in time. */
export function busy(what: string, waitMs: number): CopyError {
  return new CopyError("busy", `another process is still working on ${what} after ${seconds(waitMs)}`);
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

/** Rejects with the signal's reason when it aborts. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(ms, undefined, { signal });
  } catch {
    throw signal.reason; // not the AbortError that wraps it
  }
}
