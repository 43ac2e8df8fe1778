import { closeSync, constants, fstatSync, lstatSync, openSync, type Stats, unlinkSync } from "node:fs";
import { CopyError } from "../errors.ts";
import type { FileTarget } from "../types.ts";
import { type Attributes, type Lacks, lacksOf } from "./attributes.ts";
import type { DirectoryCache, HeldDirectory } from "./directories.ts";
import { describeKind, errnoOf, nameError, volumeError } from "./errors.ts";
import { splitPath, temporaryName } from "./path.ts";
import { pooled } from "./pooled.ts";

export interface PlacementOptions {
  readonly root: string;
  readonly attributes: Attributes;
  /** `direct`: files are made under their final name. `staged`: under a hidden one, until they are published. */
  readonly placement: "direct" | "staged";
  /** Whether what stands at a path was made, or changed, since this run began. */
  readonly madeHere: (ctimeMs: number) => boolean;
  readonly onChange: (path: string) => void;
}

/** Where a file is worked on. */
export interface WorkingPlace {
  readonly directory: HeldDirectory;
  /** The name to call the kernel with. */
  readonly name: string;
}

export interface CreatedFile extends WorkingPlace {
  readonly descriptor: number;
}

const exclusively = constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Decides under which name a file is made, and that nothing else is there. */
export class Placement {
  readonly #options: PlacementOptions;
  readonly #directories: DirectoryCache;

  constructor(options: PlacementOptions, directories: DirectoryCache) {
    this.#options = options;
    this.#directories = directories;
  }

  get staged(): boolean {
    return this.#options.placement === "staged";
  }

  /** The working place of a target; makes missing directories. */
  placeOf(target: FileTarget): WorkingPlace {
    const [parent, base] = splitPath(target.path);
    const directory = this.#directories.make(parent, target.path);
    return { directory, name: directory.prefix + (this.staged ? temporaryName(target.version) : base) };
  }

  /** Makes the file and opens it. Throws CopyError `occupied`, or `unsupported` for a name that this run already made. */
  create(target: FileTarget, access: number, mode: number): CreatedFile {
    for (let attempt = 0; ; attempt++) {
      const place = this.placeOf(target);
      try {
        const descriptor = openSync(place.name, access | exclusively, mode);
        this.#options.onChange(place.directory.path);
        return { ...place, descriptor };
      } catch (error) {
        this.#recover(target, place, { cause: error, attempt });
      }
    }
  }

  /** Makes the file like `create`, in the thread pool; the directory is held until the caller releases it. */
  async createPooled(target: FileTarget, access: number, mode: number): Promise<CreatedFile> {
    for (let attempt = 0; ; attempt++) {
      const place = this.placeOf(target);
      this.#directories.retain(place.directory);
      try {
        const descriptor = await pooled.open(place.name, access | exclusively, mode);
        this.#options.onChange(place.directory.path);
        return { ...place, descriptor };
      } catch (error) {
        this.#directories.release(place.directory);
        this.#recover(target, place, { cause: error, attempt });
      }
    }
  }

  release(place: WorkingPlace): void {
    this.#directories.release(place.directory);
  }

  /** Opens what an earlier run of ours left; removes it if it is of no use. Throws CopyError. */
  reopen(target: FileTarget, leastBytes: number): number | undefined {
    const { name, directory } = this.placeOf(target);
    try {
      const stats = lstatSync(name, { throwIfNoEntry: false });
      if (stats === undefined) return undefined;
      // The run that made the entry may have died before it was on stable storage.
      this.#options.onChange(directory.path);
      // A FIFO would hang the open, a hard link would lead to someone else's bytes.
      if (!stats.isFile() || stats.nlink !== 1) throw this.collision(target, stats);
      const descriptor = stats.size >= leastBytes ? openAgain(name) : undefined;
      if (descriptor === undefined) unlinkSync(name);
      else this.#expectSame(target, descriptor, stats);
      return descriptor;
    } catch (error) {
      throw nameError(error, "reopen", this.absolute(target));
    }
  }

  /**
   * Removes what an earlier run of ours left in the target's place: a regular file without further links. Whether there
   * was one. Throws CopyError `occupied`, or `unsupported` for a name that this run already made.
   */
  removeEarlier(target: FileTarget): boolean {
    const [parent, base] = splitPath(target.path);
    const directory = this.#directories.find(parent);
    if (directory === undefined) return false;
    const name = directory.prefix + (this.staged ? temporaryName(target.version) : base);
    try {
      const stats = lstatSync(name, { throwIfNoEntry: false });
      if (stats === undefined) return false;
      const ours = stats.isFile() && stats.nlink === 1 && !this.#options.madeHere(stats.ctimeMs);
      if (!ours) throw this.collision(target, stats);
      unlinkSync(name);
      this.#options.onChange(parent);
      return true;
    } catch (error) {
      throw nameError(error, "remove", this.absolute(target));
    }
  }

  /** Clears the way for another attempt at creating, or throws what the failed one means. */
  #recover(target: FileTarget, place: WorkingPlace, failure: { cause: unknown; attempt: number }): void {
    const { cause, attempt } = failure;
    const code = errnoOf(cause);
    try {
      const stats = code === "EEXIST" ? lstatSync(place.name, { throwIfNoEntry: false }) : undefined;
      if (stats !== undefined) this.#clear(target, place, stats, failure);
      else if (attempt > 0 || (code !== "ENOENT" && code !== "EEXIST")) throw cause;
      // The held directory was removed, or what stood in the way is gone again.
      else this.#directories.forget();
    } catch (error) {
      throw nameError(error, "create", this.absolute(target));
    }
  }

  /** The error for a name that is taken. */
  collision(target: FileTarget, stats: Stats, cause?: unknown): CopyError {
    if (this.#options.madeHere(stats.ctimeMs)) {
      const message = `\`${target.path}\` names what another key of this run has already made (${describeKind(stats)})`;
      return new CopyError("unsupported", message, { cause });
    }
    return new CopyError("occupied", `${describeKind(stats)} is already at ${this.absolute(target)}`, { cause });
  }

  /** What a file just made in this directory lacks; looked at once a directory. */
  lacksIn(directory: HeldDirectory, descriptor: number): Lacks {
    directory.lacks ??= lacksOf(fstatSync(descriptor), this.#options.attributes);
    return directory.lacks;
  }

  /** Removes the working file of a target if it is the one that `descriptor` has open. */
  remove(target: FileTarget, descriptor: number): void {
    try {
      const { name } = this.placeOf(target);
      const named = lstatSync(name, { throwIfNoEntry: false });
      const open = fstatSync(descriptor);
      if (named !== undefined && named.ino === open.ino && named.dev === open.dev) unlinkSync(name);
    } catch (error) {
      throw volumeError(error, "remove", this.absolute(target));
    }
  }

  /** Removes the staged file of a target that cannot be published. Best effort: a later run would remove it as well. */
  discard(target: FileTarget): void {
    if (!this.staged) return;
    try {
      const { name } = this.placeOf(target);
      const stats = lstatSync(name, { throwIfNoEntry: false });
      if (stats?.isFile() && stats.nlink === 1) unlinkSync(name);
    } catch {}
  }

  /** Between the look at a name and its opening another file may have got there. */
  #expectSame(target: FileTarget, descriptor: number, looked: Stats): void {
    const opened = fstatSync(descriptor);
    if (opened.ino === looked.ino && opened.dev === looked.dev && opened.nlink === 1) return;
    closeSync(descriptor);
    throw this.collision(target, opened);
  }

  #clear(target: FileTarget, place: WorkingPlace, stats: Stats, failure: { cause: unknown; attempt: number }): void {
    const { cause, attempt } = failure;
    if (!this.staged || this.#options.madeHere(stats.ctimeMs)) throw this.collision(target, stats, cause);
    // Left by a run that was killed. A second hard link would mean that it is not ours.
    if (attempt > 0 || !stats.isFile() || stats.nlink !== 1) {
      const message = `the temporary name of ${this.absolute(target)} is taken by ${describeKind(stats)}`;
      throw new CopyError("occupied", message, { cause });
    }
    unlinkSync(place.name);
  }

  absolute(target: FileTarget): string {
    return `${this.#options.root}/${target.path}`;
  }
}

/** Undefined for a file whose final mode or owner is already set and keeps us out. */
function openAgain(name: string): number | undefined {
  try {
    return openSync(name, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === "EACCES") return undefined;
    throw error;
  }
}
