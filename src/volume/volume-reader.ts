import { constants } from "node:fs";
import { type FileHandle, lstat, open, readdir } from "node:fs/promises";
import { CopyError } from "../errors.ts";
import type { ExistingFile, SafePath } from "../types.ts";
import { DirectoryCache, type HeldDirectory } from "./directories.ts";
import { errnoOf, volumeError } from "./errors.ts";
import { inspectPath } from "./inspect.ts";
import { lostAndFound, splitPath, stateDirectory } from "./path.ts";

export interface FoundFile extends ExistingFile {
  readonly path: SafePath;
}

/** Reads a target without ever changing it, through real directories only. */
export class VolumeReader implements Disposable {
  readonly #root: string;
  readonly #directories: DirectoryCache;

  /** Throws CopyError `volume` if the root cannot be opened. */
  constructor(root: string) {
    this.#root = root;
    this.#directories = new DirectoryCache({
      root,
      attributes: { fileMode: 0, dirMode: 0, uid: undefined, gid: undefined },
      deferAttributes: false,
      madeHere: () => false,
      onChange: () => {},
    });
  }

  /** What stands at a path; undefined where nothing does. */
  inspect(path: SafePath): ExistingFile | undefined {
    return inspectPath(this.#directories, path);
  }

  /** Opens a regular file. Throws CopyError `volume`. */
  async open(path: SafePath): Promise<FileHandle> {
    const [parent, name] = splitPath(path);
    const directory = this.#directories.find(parent);
    if (!directory) throw new CopyError("volume", `${this.#root}/${path} has gone`);
    try {
      // Without O_NONBLOCK a FIFO that took the file's place would block here.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      return await open(directory.prefix + name, flags);
    } catch (error) {
      throw volumeError(error, "open", `${this.#root}/${path}`);
    }
  }

  /** Every file (and special file) in the byte order of the paths, without `lost+found` and our own state. */
  async *walk(directory = ""): AsyncGenerator<FoundFile> {
    const held = this.#directories.find(directory);
    if (!held) return;
    this.#directories.retain(held);
    try {
      for (const { sortName } of await this.#names(held)) {
        const name = sortName.endsWith("/") ? sortName.slice(0, -1) : sortName;
        const path = directory === "" ? name : `${directory}/${name}`;
        if (sortName.endsWith("/")) yield* this.walk(path);
        else yield* this.#file(held, name, path);
      }
    } finally {
      this.#directories.release(held);
    }
  }

  [Symbol.dispose](): void {
    this.#directories[Symbol.dispose]();
  }

  /** In the order of whole paths a directory sorts as its name with a slash. */
  async #names(directory: HeldDirectory): Promise<{ readonly sortName: string; readonly bytes: Buffer }[]> {
    try {
      const entries = await readdir(`${directory.prefix}.`, { withFileTypes: true });
      return entries
        .filter(({ name }) => directory.path !== "" || (name !== lostAndFound && name !== stateDirectory))
        .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
        .map((sortName) => ({ sortName, bytes: Buffer.from(sortName) }))
        .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
    } catch (error) {
      throw volumeError(error, "read directory", `${this.#root}/${directory.path}`);
    }
  }

  async *#file(directory: HeldDirectory, name: string, path: string): AsyncGenerator<FoundFile> {
    try {
      const stats = await lstat(directory.prefix + name);
      const kind = stats.isFile() ? "file" : "other";
      // A path that was read from the target is below it; `SafePath` promises no more.
      yield { path: path as SafePath, kind, sizeBytes: stats.size, modifiedMs: Math.round(stats.mtimeMs) };
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw volumeError(error, "look at", `${this.#root}/${path}`);
    }
  }
}
