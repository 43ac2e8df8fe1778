import type { ObjectEntry } from "../types.ts";
import type { LookUpParts } from "./current-version.ts";
import { needsProbe } from "./plan.ts";
import { isObjectsOwn } from "./retry.ts";

/** Finds out which archived objects cannot be read. Direct reads are a setting of the bucket: the first that is tried speaks for all. */
export class ArchiveAccess {
  readonly #parts: LookUpParts;
  #reads: Promise<boolean> | undefined;

  constructor(parts: LookUpParts) {
    this.#parts = parts;
  }

  /** Whether an object must be restored first. Throws what is not its own failure, or the signal's reason. */
  async refuses(entry: ObjectEntry, signal: AbortSignal): Promise<boolean> {
    if (!needsProbe(entry)) return false;
    this.#reads ??= readsDirectly(entry, this.#parts, signal);
    return !(await this.#reads);
  }
}

/** Whether one archived object can be read. One that is gone or changed meanwhile can: that is for its reader to find out. */
async function readsDirectly(
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
