import { lstatSync } from "node:fs";
import type { ExistingFile, SafePath } from "../types.ts";
import type { DirectoryCache } from "./directories.ts";
import { errnoOf, volumeError } from "./errors.ts";
import { splitPath } from "./path.ts";

/** What stands at a path now, reached through real directories only; undefined where nothing does. Throws CopyError. */
export function inspectPath(directories: DirectoryCache, path: SafePath): ExistingFile | undefined {
  const [parent, name] = splitPath(path);
  const directory = directories.find(parent);
  if (directory === undefined) return undefined;
  try {
    const stats = lstatSync(directory.prefix + name, { throwIfNoEntry: false });
    // A directory that a killed run has not finished is as good as none: it is still to be made.
    if (stats === undefined || directories.isUnfinished(stats)) return undefined;
    const kind = stats.isFile() ? "file" : stats.isDirectory() ? "directory" : "other";
    // Times pass through a double of seconds on their way in; the fraction of a millisecond is its rounding.
    return { kind, sizeBytes: stats.size, modifiedMs: Math.round(stats.mtimeMs), changedMs: stats.ctimeMs };
  } catch (error) {
    if (errnoOf(error) === "ENAMETOOLONG") return undefined;
    throw volumeError(error, "look at", path);
  }
}
