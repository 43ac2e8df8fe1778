import { CopyError } from "../errors.ts";
import type { ExistingFile } from "../types.ts";
import type { CopyDecision } from "./feeder.ts";
import type { CopyTask } from "./plan.ts";

export interface DecideOptions {
  readonly overwrite: "always" | "never" | "older";
  /** Whether files carry their object's time: without, equal files cannot be told and are fetched again. */
  readonly mtime: boolean;
}

/** What `copy` does with a file whose path may be taken. */
export function createDecision({ overwrite, mtime }: DecideOptions): CopyDecision {
  return (task, existing) => {
    if (!existing) return undefined;
    if (existing.kind !== task.kind) return { fail: taken(task, existing) };
    if (task.kind === "directory") return { skip: "directory exists" };
    if (mtime && isUnchanged(task, existing)) return { skip: "unchanged" };
    if (overwrite === "never") return { skip: "exists" };
    if (overwrite === "older" && existing.modifiedMs >= task.target.modifiedMs) return { skip: "not older" };
    return undefined;
  };
}

export interface FillOptions {
  /** Whether files carry their object's time: without, nobody knows what an earlier attempt has finished. */
  readonly mtime: boolean;
  /** When, by the filesystem's clock, the first attempt at the same work began; undefined when this is the first. */
  readonly sinceMs: number | undefined;
}

/**
 * What `populate` does on a volume that did not begin empty: nothing there is ever replaced, and only what an attempt at
 * the same work has finished, which got its name when it was complete, is taken for the object's file.
 */
export function createFillDecision({ mtime, sinceMs }: FillOptions): CopyDecision {
  const isRecent = ({ changedMs }: ExistingFile): boolean =>
    sinceMs !== undefined && changedMs !== undefined && changedMs >= sinceMs;
  return (task, existing) => {
    if (!existing) return undefined;
    if (existing.kind !== task.kind) return { fail: taken(task, existing) };
    if (task.kind === "directory") return { skip: "directory exists" };
    if (mtime && isRecent(existing) && isUnchanged(task, existing)) return { skip: "in place" };
    return { fail: taken(task, existing) };
  };
}

/** Same size, same time; a filesystem that keeps whole seconds only shows no fraction. */
function isUnchanged({ target }: CopyTask, existing: ExistingFile): boolean {
  if (existing.sizeBytes !== target.sizeBytes) return false;
  if (existing.modifiedMs === target.modifiedMs) return true;
  return existing.modifiedMs % 1000 === 0 && existing.modifiedMs === Math.floor(target.modifiedMs / 1000) * 1000;
}

function taken(task: CopyTask, existing: ExistingFile): CopyError {
  const what = existing.kind === "other" ? "something that is neither file nor directory" : `a ${existing.kind}`;
  const key = JSON.stringify(task.entry.key);
  const message =
    existing.kind === task.kind
      ? `${what} is already at the place of ${key}`
      : `${what} stands where ${key} needs a ${task.kind}`;
  return new CopyError("occupied", message);
}
