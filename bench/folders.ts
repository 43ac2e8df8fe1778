import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, stat, truncate } from "node:fs/promises";
import { join } from "node:path";

/** Smaller files keep their bytes, which are few. */
const emptiedBytes = 2 ** 20;

/**
 * A new empty folder for each run; what earlier runs left loses its large files' bytes, but keeps its inodes to the end of the
 * bench. ext4 hands out no inode that was freed in the last minute, or the last six while its block is dirty, and searches past
 * all of them for every new file (`recently_deleted` in fs/ext4/ialloc.c): files made after a large `rm -r` cost up to eight
 * times the system time.
 */
export class RunFolders implements AsyncDisposable {
  readonly #root: string;
  #runs = 0;
  #path: string | undefined;

  private constructor(root: string) {
    this.#root = root;
  }

  /** Below `parent`, whose owner removes it. */
  static async open(parent: string): Promise<RunFolders> {
    return new RunFolders(await mkdtemp(join(parent, "targets-")));
  }

  /** Made and synced, with nothing left to write back from before. */
  async fresh(): Promise<string> {
    await this.#empty();
    this.#path = join(this.#root, String(this.#runs++));
    await mkdir(this.#path, { recursive: true });
    await once(spawn("sync", ["-f", this.#path], { stdio: "inherit" }), "close");
    return this.#path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#empty();
  }

  async #empty(): Promise<void> {
    if (this.#path !== undefined) await emptyLargeFiles(this.#path);
  }
}

/** Files below a folder and their bytes; none where there is no folder. */
export async function countTree(path: string): Promise<{ files: number; bytes: number }> {
  let files = 0;
  let bytes = 0;
  for await (const size of fileSizes(path)) {
    files += 1;
    bytes += size.bytes;
  }
  return { files, bytes };
}

/** Frees the blocks of large files, and no inode. */
export async function emptyLargeFiles(path: string): Promise<void> {
  for await (const file of fileSizes(path)) {
    if (file.bytes >= emptiedBytes) await truncate(file.path);
  }
}

async function* fileSizes(path: string): AsyncIterable<{ path: string; bytes: number }> {
  const entries = await readdir(path, { withFileTypes: true, recursive: true }).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    yield { path: file, bytes: (await stat(file)).size };
  }
}
