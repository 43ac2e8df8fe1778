import { lstat } from "node:fs/promises";
import type { SafePath } from "../types.ts";
import { errnoOf, volumeError } from "./errors.ts";
import { lostAndFound, probePrefix, stateDirectory } from "./path.ts";
import { SeenPaths } from "./seen-paths.ts";
import { entriesOf, type OpenDirectory, openChild, openDirectory } from "./tree.ts";

export interface ComparisonResult {
  /** Every listed file is there with its size and time, and nothing else is. */
  readonly equal: boolean;
  /** The first ten differences, each with its path. */
  readonly differences: readonly string[];
}

const mostDifferences = 10;

/** Compares a volume without our state with a listing, by path, size and modification time; directories do not count. */
export class ListingComparison {
  readonly #root: string;
  readonly #seen = new SeenPaths();
  readonly #differences: string[] = [];
  #different = false;
  #matching = 0;

  constructor(root: string) {
    this.#root = root;
  }

  /** Looks at one listed object; several may be looked at at once. Throws CopyError `volume`. */
  async check(path: SafePath, sizeBytes: number, modifiedMs: number): Promise<void> {
    this.#seen.add(path);
    const found = await this.#look(path);
    if (found === undefined) return this.#note(`\`${path}\` is missing`);
    if (!found.isFile()) return this.#note(`\`${path}\` is not a regular file`);
    if (found.size !== sizeBytes) return this.#note(`\`${path}\` has ${found.size} bytes instead of ${sizeBytes}`);
    if (!sameTime(Math.round(found.mtimeMs), modifiedMs)) {
      const times = [found.mtimeMs, modifiedMs].map((ms) => new Date(ms).toISOString());
      return this.#note(`\`${path}\` was modified at ${times[0]} instead of ${times[1]}`);
    }
    this.#matching++;
  }

  /** Whether nothing stands there; that by itself is no difference. Throws CopyError `volume`. */
  async lacks(path: SafePath): Promise<boolean> {
    return (await this.#look(path)) === undefined;
  }

  /** Whether anything listed so far differs, so that the rest need not be looked at. */
  get different(): boolean {
    return this.#different;
  }

  /** Looks for what is on the volume and was not listed. Throws CopyError `volume`, or the signal's reason. */
  async finish(signal: AbortSignal): Promise<ComparisonResult> {
    await using root = await openDirectory(this.#root);
    const count = await this.#count(root, "", signal);
    if (count !== this.#matching) this.#different = true;
    // The filter that names additional files can miss one; the count cannot.
    if (this.#different && this.#differences.length === 0) {
      this.#note(`${count} files are there instead of ${this.#matching}`);
    }
    return { equal: !this.#different, differences: this.#differences };
  }

  async #count(directory: OpenDirectory, prefix: string, signal: AbortSignal): Promise<number> {
    let count = 0;
    for await (const entry of entriesOf(directory)) {
      signal.throwIfAborted();
      const path = prefix + entry.name;
      if (prefix === "" && isNoData(entry.name)) continue;
      if (entry.isDirectory()) {
        await using child = await openChild(directory, entry.name);
        count += await this.#count(child, `${path}/`, signal);
        continue;
      }
      count++;
      if (!this.#seen.mayHave(path)) this.#note(`\`${path}\` is not in the listing`);
    }
    return count;
  }

  async #look(path: SafePath) {
    try {
      return await lstat(`${this.#root}/${path}`);
    } catch (error) {
      if (["ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"].includes(errnoOf(error) ?? "")) return undefined;
      throw volumeError(error, "look at", `${this.#root}/${path}`);
    }
  }

  #note(difference: string): void {
    this.#different = true;
    if (this.#differences.length < mostDifferences) this.#differences.push(difference);
  }
}

function isNoData(name: string): boolean {
  return name === lostAndFound || name === stateDirectory || name.startsWith(probePrefix);
}

/** Equal to the millisecond, or to the second on a filesystem that keeps no more. */
function sameTime(foundMs: number, listedMs: number): boolean {
  return foundMs === listedMs || (foundMs % 1000 === 0 && Math.floor(listedMs / 1000) * 1000 === foundMs);
}
