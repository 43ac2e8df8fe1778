import { closeSync, constants, openSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { CopyError } from "../errors.ts";
import type { ExistingFile, FileTarget, SafePath } from "../types.ts";
import { type Attributes, keepsUsOut } from "./attributes.ts";
import { type FileIo, mostDirtyBytes } from "./direct-file.ts";
import { DirectoryCache } from "./directories.ts";
import { nameError, volumeError } from "./errors.ts";
import { readIdentity } from "./identity.ts";
import { inspectPath } from "./inspect.ts";
import { LargeFile, type LargeFileOptions } from "./large-file.ts";
import { Placement } from "./placement.ts";
import { pooled } from "./pooled.ts";
import { type PublishOptions, publishFile } from "./publish.ts";
import { SlowCalls } from "./slow-calls.ts";
import type { TargetWriter } from "./target-writer.ts";
import { writeWholeNow, writeWholePooled } from "./whole-file.ts";

export interface VolumeWriterOptions extends Attributes {
  readonly kind?: "volume";
  /** Real path of the target, as `prepareTarget` found it. */
  readonly root: string;
  /** `direct`: final names at once. `staged`: hidden temporary names until `publish`. */
  readonly placement: "direct" | "staged";
  /** Whether `publish` may put a file in the place of another; default true. */
  readonly replaces?: boolean;
  /** Whether files get the modification time of their object. */
  readonly mtime: boolean;
  /** Whether each file is on stable storage before it is closed. */
  readonly fsyncFiles: boolean;
  /** What the filesystem's clock said at the start of the run; tells our own files from older ones. */
  readonly runStartedCtimeMs?: number | undefined;
  /** How large files are written. */
  readonly io: FileIo;
  /** Dirty bytes of one large file in the page cache at most, where it is written through it; default 32 MiB. */
  readonly dirtyBytes?: number;
}

/** Calls after which a batch lets the connections of this thread have their turn. */
const callsInARow = 64;

/** Everything a data thread does to the target. Small calls are synchronous; large writes and syncs use the thread pool. */
export class VolumeWriter implements TargetWriter {
  readonly #directories: DirectoryCache;
  readonly #placement: Placement;
  readonly #files: LargeFileOptions;
  readonly #publish: PublishOptions;
  readonly #root: string;
  readonly #changed = new Set<string>();
  #broken: { readonly error: unknown } | undefined;
  readonly #calls = new SlowCalls();

  /** Throws CopyError `volume` if the root cannot be opened. */
  constructor(options: VolumeWriterOptions) {
    const { root, fsyncFiles, io, mtime, dirtyBytes = mostDirtyBytes } = options;
    const staged = options.placement === "staged";
    const startedMs = options.runStartedCtimeMs ?? Number.POSITIVE_INFINITY;
    const common = {
      root,
      attributes: options,
      madeHere: (ctimeMs: number) => ctimeMs >= startedMs,
      onChange: (path: string) => {
        if (fsyncFiles) this.#changed.add(path);
      },
    };
    this.#root = root;
    const deferAttributes = keepsUsOut(options, readIdentity());
    this.#directories = new DirectoryCache({
      ...common,
      deferAttributes,
      marksUnfinished: staged && !deferAttributes,
    });
    this.#placement = new Placement({ ...common, placement: options.placement }, this.#directories);
    // A torn file must not carry the time by which a later run would skip it. Synced before its close it cannot be torn.
    const timesComeWithName = staged && !fsyncFiles;
    const settings = { attributes: options, setsTimes: mtime && !timesComeWithName, fsyncFiles };
    this.#files = { ...settings, placement: this.#placement, io, dirtyBytes };
    const { replaces = true } = options;
    this.#publish = { ...common, placement: this.#placement, setsTimes: mtime && timesComeWithName, replaces };
  }

  /**
   * Makes a complete file in one go; when it throws (CopyError), nothing of it is left. Blocks this thread: see
   * `prefersPool`.
   */
  writeWhole(target: FileTarget, bytes: Uint8Array): void {
    this.#calls.begin();
    writeWholeNow(this.#placement, this.#files, target, bytes);
    this.#calls.end();
  }

  /** Whether files take so long here that many `writeWholePooled` at once are faster than `writeWhole` in a row. */
  get prefersPool(): boolean {
    return this.#files.fsyncFiles || this.#calls.slow;
  }

  /** Like `writeWhole`, in the thread pool; the bytes are in use until the promise settles. */
  writeWholePooled(target: FileTarget, bytes: Uint8Array): Promise<void> {
    this.#calls.pooled();
    return writeWholePooled(this.#placement, this.#files, target, bytes);
  }

  /** Whether each file is on stable storage before it is closed. */
  get fsyncsFiles(): boolean {
    return this.#files.fsyncFiles;
  }

  /** Makes an empty file for a large object. Throws CopyError. */
  openFile(target: FileTarget): Promise<LargeFile> {
    return LargeFile.create(this.#files, target);
  }

  /**
   * Goes on with the file that an earlier run of ours left for this target, if it is at least `leastBytes` long;
   * otherwise removes it. Throws CopyError.
   */
  reopenFile(target: FileTarget, leastBytes: number): LargeFile | undefined {
    return LargeFile.reopen(this.#files, target, leastBytes);
  }

  /**
   * Removes the file that an earlier run of ours left, complete or torn, where this target is to be made anew. Only for
   * volumes that began empty, or staged. Whether there was one. Throws CopyError `occupied` or `unsupported` for what
   * is not a regular file with one link, or was made by this run.
   */
  clearPlace(target: FileTarget): boolean {
    return this.#placement.removeEarlier(target);
  }

  /** Opens once more a file that another writer of this process made and will settle. */
  joinFile(target: FileTarget, descriptor: number): LargeFile {
    return LargeFile.join(this.#files, target, descriptor);
  }

  /** Makes a directory with its parents; one that exists is left as it is. Throws CopyError. */
  makeDirectory(path: SafePath): void {
    this.#directories.make(path, path);
  }

  /** What stands at each path; undefined where nothing does, or where no real directory leads. Throws CopyError `volume`. */
  async inspect(paths: readonly SafePath[]): Promise<(ExistingFile | undefined)[]> {
    const found: (ExistingFile | undefined)[] = [];
    for (const path of paths) {
      found.push(inspectPath(this.#directories, path));
      if (found.length % callsInARow === 0) await setImmediate();
    }
    return found;
  }

  /** Gives staged files their modification time and final name; one result per target. The caller syncs, before and after. */
  async publish(targets: readonly FileTarget[]): Promise<(undefined | Error)[]> {
    const results: (undefined | Error)[] = [];
    for (const target of targets) {
      results.push(this.#publishOne(target));
      if (results.length % callsInARow === 0) await setImmediate();
    }
    return results;
  }

  /**
   * With `fsyncFiles`: puts the entries of all directories changed since the last call on stable storage. Throws
   * CopyError, and once it has, always: the system tells of lost entries once only.
   */
  async syncDirectories(): Promise<void> {
    if (this.#broken) throw this.#broken.error;
    const changed = [...this.#changed];
    this.#changed.clear();
    for (const path of changed) {
      try {
        await this.#syncDirectory(path);
      } catch (error) {
        this.#broken = { error: volumeError(error, "sync directory", `${this.#root}/${path}`) };
        throw this.#broken.error;
      }
    }
  }

  [Symbol.dispose](): void {
    this.#directories[Symbol.dispose]();
  }

  async #syncDirectory(path: string): Promise<void> {
    const directory = this.#directories.find(path);
    if (directory === undefined) return;
    // A descriptor of its own: the held one may be evicted while the thread pool works.
    const descriptor = openSync(`${directory.prefix}.`, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await pooled.fsync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  }

  #publishOne(target: FileTarget): Error | undefined {
    try {
      publishFile(this.#publish, target);
      return undefined;
    } catch (error) {
      const failure = nameError(error, "publish", `${this.#root}/${target.path}`);
      // The name is taken, and will be; trouble of the target itself may pass.
      const isTaken = failure instanceof CopyError && (failure.kind === "occupied" || failure.kind === "unsupported");
      if (isTaken) this.#placement.discard(target);
      return failure instanceof Error ? failure : new Error(String(failure));
    }
  }
}
