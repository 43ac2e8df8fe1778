import { constants, type Dirent } from "node:fs";
import { type FileHandle, open, opendir } from "node:fs/promises";
import { CopyError } from "../errors.ts";
import { volumeError } from "./errors.ts";

/** A directory held open by the main thread. */
export interface OpenDirectory extends AsyncDisposable {
  readonly handle: FileHandle;
  /** For messages only. */
  readonly path: string;
  readonly device: number;
  /** How to name a child to the kernel: no symlink on the way can redirect it. */
  child(name: string): string;
}

const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** Entries that one trip to the thread pool reads. */
const entriesAtOnce = 256;

/** Opens a directory; a symlink is none. Throws CopyError `volume`. */
export async function openDirectory(path: string): Promise<OpenDirectory> {
  return held(path, path);
}

/** Opens a directory below another. Throws CopyError `volume`, also for one on which another filesystem is mounted. */
export async function openChild(parent: OpenDirectory, name: string): Promise<OpenDirectory> {
  const path = `${parent.path}/${name}`;
  const child = await held(parent.child(name), path);
  if (child.device === parent.device) return child;
  await child[Symbol.asyncDispose]();
  throw new CopyError("volume", `another filesystem is mounted at ${path}`);
}

/** The entries of a directory as they are read; symlinks are entries of their own kind. Throws CopyError `volume`. */
export async function* entriesOf(directory: OpenDirectory): AsyncGenerator<Dirent> {
  try {
    yield* await opendir(`/proc/self/fd/${directory.handle.fd}`, { bufferSize: entriesAtOnce });
  } catch (error) {
    throw volumeError(error, "list", directory.path);
  }
}

async function held(location: string, path: string): Promise<OpenDirectory> {
  try {
    const handle = await open(location, flags);
    const { dev } = await handle.stat();
    return {
      handle,
      path,
      device: dev,
      child: (name) => `/proc/self/fd/${handle.fd}/${name}`,
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (error) {
    throw volumeError(error, "open directory", path);
  }
}
