import type { ExistingFile, FileTarget } from "../../src/types.ts";

/** What stands on a volume in memory. */
export class MemoryVolume {
  readonly files = new Map<string, { readonly bytes: Uint8Array; readonly modifiedMs: number }>();
  readonly directories = new Set<string>();
  /** Complete files that wait for their names. */
  readonly stagedFiles = new Map<string, Uint8Array>();
  /** Unfinished files of a staged run, by path and version. */
  readonly leftFiles = new Map<string, Uint8Array>();
  readonly #staged: boolean;

  constructor(staged: boolean) {
    this.#staged = staged;
  }

  /** A complete file takes its place. */
  stand({ path, modifiedMs }: FileTarget, bytes: Uint8Array): void {
    if (this.#staged) this.stagedFiles.set(path, bytes);
    else this.files.set(path, { bytes, modifiedMs });
  }

  /** An unfinished file stays behind. */
  leave(target: FileTarget, bytes: Uint8Array): void {
    if (this.#staged) this.leftFiles.set(placeOf(target), bytes);
    else this.files.set(target.path, { bytes, modifiedMs: 0 });
  }

  /** Removes what an earlier run left in a file's place, and gives it. */
  takeLeft(target: FileTarget): Uint8Array | undefined {
    const place = placeOf(target);
    const bytes = this.#staged ? this.leftFiles.get(place) : this.files.get(target.path)?.bytes;
    if (this.#staged) this.leftFiles.delete(place);
    else this.files.delete(target.path);
    return bytes;
  }

  look(path: string): ExistingFile | undefined {
    if (this.directories.has(path)) return { kind: "directory", sizeBytes: 0, modifiedMs: 0 };
    const file = this.files.get(path);
    return file && { kind: "file", sizeBytes: file.bytes.length, modifiedMs: file.modifiedMs };
  }

  /** Gives a staged file its name; or why it has none. */
  publish({ path, modifiedMs }: FileTarget): Error | undefined {
    const bytes = this.stagedFiles.get(path);
    if (!bytes) return new Error(`${path} is not staged`);
    this.stagedFiles.delete(path);
    this.files.set(path, { bytes, modifiedMs });
    return undefined;
  }
}

function placeOf({ path, version }: FileTarget): string {
  return `${path} ${version}`;
}
