import { closeSync, constants, fstatSync, lstatSync, mkdirSync, openSync, type Stats } from "node:fs";
import { CopyError } from "../errors.ts";
import { type Attributes, dressDirectory, isUnfinishedDirectory, type Lacks, unfinishedMode } from "./attributes.ts";
import { describeKind, errnoOf, nameError, volumeError } from "./errors.ts";
import { readIdentity } from "./identity.ts";

/** An open directory. Children are named `prefix + name`, which no symlink above them can redirect. */
export interface HeldDirectory {
  /** Below the root; "" is the root itself. */
  readonly path: string;
  readonly descriptor: number;
  readonly prefix: string;
  /** What fresh files in this directory lack, once the first one showed it. */
  lacks: Lacks | undefined;
  users: number;
  forgotten: boolean;
}

export interface DirectoryCacheOptions {
  /** Real path of the target. */
  readonly root: string;
  readonly attributes: Attributes;
  /** Whether owner and mode come in a last pass, because they would keep us out. */
  readonly deferAttributes: boolean;
  /** Whether a directory shows until it has its attributes, so that whoever comes upon it can give them; default false. */
  readonly marksUnfinished?: boolean;
  /** Descriptors kept open at most, besides those in use; default 512. */
  readonly limit?: number;
  /** Whether what stands at a path was made by this run. */
  readonly madeHere: (ctimeMs: number) => boolean;
  /** Told of each directory whose entries change. */
  readonly onChange: (path: string) => void;
}

interface Step {
  readonly name: string;
  readonly path: string;
  readonly neededBy: string | undefined;
}

const openFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const defaultLimit = 512;
/** Enough for us to work in a directory whose final mode is set later. */
const workingMode = 0o700;

/** Bounded set of open directories, least recently used first out. Each is opened step by step from the root, and no step follows a symlink. */
export class DirectoryCache implements Disposable {
  readonly #options: DirectoryCacheOptions;
  readonly #limit: number;
  readonly #root: HeldDirectory;
  /** As whom we make directories that show that they are unfinished; undefined where none do. */
  readonly #marksAs: number | undefined;
  /** In order of use. */
  readonly #held = new Map<string, HeldDirectory>();
  #newest: HeldDirectory;

  /** Opens the root; throws CopyError `volume`. */
  constructor(options: DirectoryCacheOptions) {
    this.#options = options;
    // A step needs its parent and its child; the child evicts the oldest, never the parent it was just reached through.
    this.#limit = Math.max(2, options.limit ?? defaultLimit);
    const marks = options.marksUnfinished === true && options.attributes.keepsModes !== false;
    this.#marksAs = marks ? readIdentity().uid : undefined;
    this.#root = held("", openRoot(options.root));
    this.#newest = this.#root;
  }

  /**
   * The directory at `path`, made with its missing parents for `key`. Throws CopyError `occupied`, or `unsupported` if
   * this run made what is in the way.
   */
  make(path: string, key: string): HeldDirectory {
    const found = this.#cached(path);
    if (found !== undefined) return found;
    try {
      return this.#walk(path, key) ?? this.#root;
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw nameError(error, "make directory", this.#absolute(path));
    }
    // Someone removed a directory that was held: its descriptor leads nowhere now.
    this.forget();
    try {
      return this.#walk(path, key) ?? this.#root;
    } catch (error) {
      throw nameError(error, "make directory", this.#absolute(path));
    }
  }

  /** The directory at `path` if it exists and is reached through directories only; makes nothing. */
  find(path: string): HeldDirectory | undefined {
    try {
      return this.#cached(path) ?? this.#walk(path, undefined);
    } catch (error) {
      throw nameError(error, "open directory", this.#absolute(path));
    }
  }

  /** Whether a directory is one of ours that was made and has not got its attributes. */
  isUnfinished(stats: Stats): boolean {
    return this.#marksAs !== undefined && isUnfinishedDirectory(stats, this.#marksAs);
  }

  /** Keeps a directory open until `release`, however many others are opened meanwhile. */
  retain(directory: HeldDirectory): void {
    directory.users++;
  }

  release(directory: HeldDirectory): void {
    directory.users--;
    if (directory.forgotten && directory.users === 0) closeSync(directory.descriptor);
  }

  /** Drops everything but the root, so that the next path is opened anew. */
  forget(): void {
    this.#newest = this.#root;
    for (const directory of this.#held.values()) this.#drop(directory);
  }

  [Symbol.dispose](): void {
    this.forget();
    closeSync(this.#root.descriptor);
  }

  #cached(path: string): HeldDirectory | undefined {
    if (path === this.#newest.path) return this.#newest;
    if (path === "") return this.#root;
    const found = this.#held.get(path);
    if (found !== undefined) this.#touch(found);
    return found;
  }

  /** Undefined where a directory is missing and no key needs it. */
  #walk(path: string, neededBy: string | undefined): HeldDirectory | undefined {
    let directory = this.#nearest(path);
    let start = directory.path === "" ? 0 : directory.path.length + 1;
    while (start <= path.length && path !== "") {
      const slash = path.indexOf("/", start);
      const end = slash < 0 ? path.length : slash;
      const child = this.#step(directory, { name: path.slice(start, end), path: path.slice(0, end), neededBy });
      if (child === undefined) return undefined;
      directory = child;
      start = end + 1;
    }
    return directory;
  }

  /** The deepest open ancestor. */
  #nearest(path: string): HeldDirectory {
    for (let cut = path.lastIndexOf("/"); cut > 0; cut = path.lastIndexOf("/", cut - 1)) {
      const found = this.#cached(path.slice(0, cut));
      if (found !== undefined) return found;
    }
    return this.#root;
  }

  #step(parent: HeldDirectory, step: Step): HeldDirectory | undefined {
    let descriptor: number;
    try {
      descriptor = this.#finished(openSync(parent.prefix + step.name, openFlags));
    } catch (error) {
      const code = errnoOf(error);
      if (code !== "ENOENT" && code !== "ENOTDIR" && code !== "ELOOP") throw error;
      if (step.neededBy === undefined) return undefined;
      if (code !== "ENOENT") throw this.#obstacle(parent, step, error);
      descriptor = this.#create(parent, step.name);
    }
    const directory = held(step.path, descriptor);
    this.#touch(directory);
    this.#evict();
    return directory;
  }

  #create(parent: HeldDirectory, name: string): number {
    const { onChange } = this.#options;
    try {
      mkdirSync(parent.prefix + name, this.#freshMode());
    } catch (error) {
      // Another thread was faster, or another process; it also sets the attributes.
      if (errnoOf(error) !== "EEXIST") throw error;
      return this.#finished(openSync(parent.prefix + name, openFlags));
    }
    const descriptor = openSync(parent.prefix + name, openFlags);
    if (!this.#options.deferAttributes) this.#dress(descriptor);
    onChange(parent.path);
    onChange(parent.path === "" ? name : `${parent.path}/${name}`);
    return descriptor;
  }

  #freshMode(): number {
    const { attributes, deferAttributes } = this.#options;
    if (this.#marksAs !== undefined) return unfinishedMode;
    return deferAttributes ? attributes.dirMode | workingMode : attributes.dirMode;
  }

  /** The descriptor of a directory that was there, which gets its attributes if it is of ours and lacks them. */
  #finished(descriptor: number): number {
    if (this.#marksAs !== undefined && this.isUnfinished(fstatSync(descriptor))) this.#dress(descriptor);
    return descriptor;
  }

  #dress(descriptor: number): void {
    try {
      dressDirectory(descriptor, this.#options.attributes);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  #obstacle(parent: HeldDirectory, step: Step, cause: unknown): unknown {
    const stats = lstatSync(parent.prefix + step.name, { throwIfNoEntry: false });
    if (stats === undefined) return cause;
    const message = `\`${step.path}\` is ${describeKind(stats)} where key \`${step.neededBy}\` needs a directory`;
    // Two keys of one listing can exclude each other; that is their own fault, not a foreign file's.
    return new CopyError(this.#options.madeHere(stats.ctimeMs) ? "unsupported" : "occupied", message, { cause });
  }

  #touch(directory: HeldDirectory): void {
    this.#held.delete(directory.path);
    this.#held.set(directory.path, directory);
    this.#newest = directory;
  }

  #evict(): void {
    for (const directory of this.#held.values()) {
      if (this.#held.size <= this.#limit) return;
      if (directory.users === 0 && directory !== this.#newest) this.#drop(directory);
    }
  }

  #drop(directory: HeldDirectory): void {
    this.#held.delete(directory.path);
    directory.forgotten = true;
    if (directory.users === 0) closeSync(directory.descriptor);
  }

  #absolute(path: string): string {
    return path === "" ? this.#options.root : `${this.#options.root}/${path}`;
  }
}

function held(path: string, descriptor: number): HeldDirectory {
  return { path, descriptor, prefix: `/proc/self/fd/${descriptor}/`, lacks: undefined, users: 0, forgotten: false };
}

function openRoot(root: string): number {
  try {
    return openSync(root, openFlags);
  } catch (error) {
    throw volumeError(error, "open the target", root);
  }
}
