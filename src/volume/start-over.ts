import type { OwnerRecord } from "./owner-format.ts";
import { lostAndFound, stateDirectory } from "./path.ts";
import { removeContents } from "./remove-tree.ts";
import { openDirectory } from "./tree.ts";

/**
 * Empties a volume that a run of ours began empty; `lost+found` and the state directory stay. Follows no symlink and
 * enters no other filesystem. Throws CopyError `volume`, or the signal's reason.
 */
export async function startOver(
  root: string,
  record: Pick<OwnerRecord, "startedEmpty">,
  signal: AbortSignal,
): Promise<void> {
  // Files that were here before us are nobody's to delete: callers must not even ask.
  if (!record.startedEmpty) throw new RangeError(`${root} did not begin empty; nothing on it may be removed`);
  await using directory = await openDirectory(root);
  await removeContents(directory, new Set([lostAndFound, stateDirectory]), signal);
}
