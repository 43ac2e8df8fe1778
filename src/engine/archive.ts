import type { ObjectEntry } from "../types.ts";
import type { LookUpParts } from "./current-version.ts";
import { isObjectsOwn } from "./retry.ts";

/**
 * Whether an archived object can be read without a restore, which a bucket may allow. One that is gone or changed meanwhile
 * can: that is for its reader to find out. Throws what is not the object's own failure, or the signal's reason.
 */
export async function readsDirectly(
  entry: ObjectEntry,
  { source, requests }: LookUpParts,
  signal: AbortSignal,
): Promise<boolean> {
  const kind = { operation: "get", what: entry.key, bodyBytes: 1, bufferBytes: 0 } as const;
  try {
    await requests.run(entry, kind, () => source.probe(entry, signal), signal);
    return true;
  } catch (error) {
    if (signal.aborted || !isObjectsOwn(error)) throw error;
    return error.kind !== "unsupported";
  }
}
