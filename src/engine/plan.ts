import { CopyError } from "../errors.ts";
import type { FileTarget, ObjectEntry, SafePath } from "../types.ts";

/** One entry with every decision taken: where it goes and whether it is a file or a directory. */
export interface CopyTask {
  readonly kind: "file" | "directory";
  readonly entry: ObjectEntry;
  readonly target: FileTarget;
  /** Whether an earlier run handed it out, and may have left a file. */
  readonly earlier?: boolean;
}

export type Planned =
  | { readonly status: "task"; readonly task: CopyTask }
  | { readonly status: "refused"; readonly entry: ObjectEntry; readonly error: CopyError }
  /** Stands for nothing below the target: the marker of the directory itself, or of a top-level `lost+found`. */
  | { readonly status: "nothing"; readonly entry: ObjectEntry };

/** What the plan must know of names; the volume room implements it. */
export interface PathRules {
  /** Throws CopyError `unsupported` with the reason. */
  resolveFile(relative: string): SafePath;
  /** The directory that a key with a trailing slash stands for. Throws like `resolveFile`. */
  resolveDirectory(relative: string): SafePath;
  /** Names a version of an object in temporary names; empty where there are none. */
  versionOf(entry: ObjectEntry): string;
}

/** Storage classes that are read only after a restore, whatever the bucket's settings. */
const neverDirectlyReadable = new Set(["ColdArchive", "DeepColdArchive"]);

/** Whether only a read can tell if the object can be read: a bucket may allow direct reads of this class. */
export function needsProbe(entry: ObjectEntry): boolean {
  return entry.storageClass === "Archive" && !entry.restored;
}

/** Turns entries in key order into tasks. Keeps only the keys that are prefixes of the current one. */
export class Planner {
  readonly #prefixLength: number;
  readonly #rules: PathRules;
  readonly #sorted: boolean;
  /** File keys of which the current key is an extension; by the sort order only these can be its "parent" files. */
  #files: string[] = [];

  /** `prefix` is cut from every key; `sorted` says whether entries come in key order. */
  constructor(prefix: string, rules: PathRules, sorted: boolean) {
    this.#prefixLength = prefix.length;
    this.#rules = rules;
    this.#sorted = sorted;
  }

  /** Tells of a file key that came before all that are planned here, longer ones later. */
  knowFile(key: string): void {
    this.#files.push(key);
  }

  plan(entry: ObjectEntry): Planned {
    try {
      return this.#plan(entry);
    } catch (error) {
      if (error instanceof CopyError && error.kind === "unsupported") return { status: "refused", entry, error };
      throw error;
    }
  }

  #plan(entry: ObjectEntry): Planned {
    const relative = entry.key.slice(this.#prefixLength);
    const marker = relative === "" || relative.endsWith("/");
    if (marker && entry.sizeBytes > 0) {
      throw new CopyError(
        "unsupported",
        `key ${JSON.stringify(entry.key)} names a directory and has ${entry.sizeBytes} bytes of content`,
      );
    }
    if (relative === "" || relative === "lost+found/") return { status: "nothing", entry };
    const path = marker ? this.#rules.resolveDirectory(relative) : this.#rules.resolveFile(relative);
    if (neverDirectlyReadable.has(entry.storageClass) && !entry.restored) throw archived(entry);
    if (this.#sorted) this.#refuseBelowFile(entry.key, marker);
    const { sizeBytes, modifiedMs } = entry;
    const target = { path, sizeBytes, modifiedMs, version: this.#rules.versionOf(entry) };
    return { status: "task", task: { kind: marker ? "directory" : "file", entry, target } };
  }

  #refuseBelowFile(key: string, marker: boolean): void {
    while (this.#files.length > 0 && !key.startsWith(this.#files.at(-1) as string)) this.#files.pop();
    const file = this.#files.find((candidate) => key.startsWith(`${candidate}/`));
    if (file !== undefined) {
      throw new CopyError(
        "unsupported",
        `key ${JSON.stringify(key)} needs a directory where object ${JSON.stringify(file)} is a file`,
      );
    }
    if (!marker) this.#files.push(key);
  }
}

/** The refusal of an object whose bytes are archived. */
export function archived(entry: ObjectEntry): CopyError {
  return new CopyError(
    "unsupported",
    `object ${JSON.stringify(entry.key)} is archived (${entry.storageClass}) and must be restored before it can be read`,
  );
}
