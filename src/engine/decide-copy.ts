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

/** Same size, same time; a filesystem that keeps whole seconds only shows no fraction. */
function isUnchanged({ target }: CopyTask, existing: ExistingFile): boolean {
  if (existing.sizeBytes !== target.sizeBytes) return false;
  if (existing.modifiedMs === target.modifiedMs) return true;
  return existing.modifiedMs % 1000 === 0 && existing.modifiedMs === Math.floor(target.modifiedMs / 1000) * 1000;
}

function taken(task: CopyTask, existing: ExistingFile): CopyError {
  const what = existing.kind === "other" ? "something that is neither file nor directory" : `a ${existing.kind}`;
  return new CopyError("occupied", `${what} stands where ${JSON.stringify(task.entry.key)} needs a ${task.kind}`);
}
