import { readFile } from "node:fs/promises";
import type { CheckpointState } from "../../../src/engine/checkpoint.ts";
import { parseCheckpoint } from "../../../src/engine/checkpoint-format.ts";

/** Where a target keeps what belongs to an unfinished run. */
export const stateName = ".oss-populator";

/** The checkpoint that a run has left on a target, or has saved so far. */
export async function checkpointIn(target: string): Promise<CheckpointState | undefined> {
  const bytes = await readFile(`${target}/${stateName}/checkpoint`).catch(() => undefined);
  const loaded = bytes && parseCheckpoint(bytes);
  return loaded?.status === "ok" ? loaded.state : undefined;
}

/** Objects that a later run need not fetch. */
export function settledOf(checkpoint: CheckpointState | undefined): number {
  return checkpoint?.counts.copied.objects ?? 0;
}

/** Bytes of unfinished objects that a later run need not fetch. */
export function extentBytes(checkpoint: CheckpointState | undefined): number {
  return (checkpoint?.open ?? []).flatMap(({ extents }) => extents).reduce((sum, { length }) => sum + length, 0);
}

/** Bytes that a later run need not fetch. */
export function keptBytes(checkpoint: CheckpointState | undefined): number {
  return (checkpoint?.counts.copied.bytes ?? 0) + extentBytes(checkpoint);
}
