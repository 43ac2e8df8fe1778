import type { CopyParts } from "./copy-run.ts";
import { pathOf } from "./earlier-files.ts";
import { isObjectsOwn } from "./retry.ts";

/** Removes temporary files that an earlier run has left of versions which are not in the listing any more. */
export async function clearLeftBehind(
  prefixLength: number,
  { publisher, plane, rules, logger }: Pick<CopyParts, "publisher" | "plane" | "rules" | "logger">,
): Promise<void> {
  if (!plane) return;
  for (const entry of publisher?.unfinished?.takeLeftBehind() ?? []) {
    const { key, sizeBytes, modifiedMs } = entry;
    const path = pathOf(key.slice(prefixLength), rules);
    if (path === undefined) continue;
    try {
      await plane.clearPlace({ path, sizeBytes, modifiedMs, version: rules.versionOf(entry) });
    } catch (error) {
      if (!isObjectsOwn(error)) throw error;
      logger.warn("a temporary file of an earlier run stays", { key, error: error.message });
    }
  }
}
