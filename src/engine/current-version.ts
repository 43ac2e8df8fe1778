import type { ObjectEntry, ObjectSource } from "../types.ts";
import type { Requests } from "./requests.ts";

/** Types whose listed size and ETag are those of the bytes that a GET returns; a symlink's are the link's own. */
const listedAsServed = new Set(["Normal", "Multipart", "Appendable"]);

export function isListedAsServed(entry: ObjectEntry): boolean {
  return listedAsServed.has(entry.type);
}

/** What the service would serve now: for a link, and for an object that is not the one listed any more. */
export async function currentVersion(
  entry: ObjectEntry,
  { source, requests }: { readonly source: ObjectSource; readonly requests: Requests },
  signal: AbortSignal,
): Promise<ObjectEntry> {
  const kind = { operation: "head", what: entry.key, bodyBytes: 0, bufferBytes: 0 } as const;
  const head = await requests.run(entry, kind, () => source.head(entry.key, signal), signal);
  const { sizeBytes, etag, modifiedMs, storageClass, restored } = head;
  return { ...entry, sizeBytes, etag, modifiedMs, storageClass, restored };
}
