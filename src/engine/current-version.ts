import pLimit from "p-limit";
import type { CopyError } from "../errors.ts";
import type { ObjectEntry, ObjectSource } from "../types.ts";
import { LinkedAbort } from "./linked-abort.ts";
import type { Requests } from "./requests.ts";
import { isObjectsOwn } from "./retry.ts";

/** Types whose listed size and ETag are those of the bytes that a GET returns; a symlink's are the link's own. */
const listedAsServed = new Set(["Normal", "Multipart", "Appendable"]);
const lookUpsAtOnce = 16;

/** Whether what is listed may not be what a GET returns. */
export function isLink({ type }: ObjectEntry): boolean {
  return !listedAsServed.has(type);
}

export interface LookUpParts {
  readonly source: ObjectSource;
  readonly requests: Requests;
}

/** A listed entry as a GET would find it, or why there is nothing to be got. */
export type Served =
  | { readonly status: "served"; readonly entry: ObjectEntry }
  | { readonly status: "lost"; readonly entry: ObjectEntry; readonly error: CopyError };

/**
 * Replaces links, or what else is doubtful, by what a GET would find, in the same order. Throws what is not one object's
 * own failure.
 */
export async function servedVersions(
  entries: readonly ObjectEntry[],
  parts: LookUpParts,
  signal: AbortSignal,
  isDoubtful = isLink,
): Promise<readonly Served[]> {
  const served: Served[] = entries.map((entry) => ({ status: "served", entry }));
  const limit = pLimit(lookUpsAtOnce);
  using abort = new LinkedAbort(signal);
  const follow = async (entry: ObjectEntry, i: number): Promise<void> => {
    if (abort.signal.aborted) return;
    try {
      served[i] = { status: "served", entry: await currentVersion(entry, parts, abort.signal) };
    } catch (error) {
      if (!abort.signal.aborted && isObjectsOwn(error)) served[i] = { status: "lost", entry, error };
      else abort.abort(error);
    }
  };
  await Promise.all(entries.flatMap((entry, i) => (isDoubtful(entry) ? [limit(follow, entry, i)] : [])));
  abort.signal.throwIfAborted();
  return served;
}

/** What the service would serve now: for a link, and for an object that is not the one listed any more. */
export async function currentVersion(
  entry: ObjectEntry,
  { source, requests }: LookUpParts,
  signal: AbortSignal,
): Promise<ObjectEntry> {
  const kind = { operation: "head", what: entry.key, bodyBytes: 0, bufferBytes: 0 } as const;
  const head = await requests.run(entry, kind, () => source.head(entry.key, signal), signal);
  const { sizeBytes, etag, modifiedMs, storageClass, restored } = head;
  return { ...entry, sizeBytes, etag, modifiedMs, storageClass, restored };
}
