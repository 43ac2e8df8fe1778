import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdir, readdir, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * ext4 hands out no inode that was freed in the last 35 s and searches past all of them for every new file
 * (`recently_deleted` in fs/ext4/ialloc.c): files made after a large `rm -r` cost up to eight times the system time.
 */
const inodesRestMs = 40_000;
const emptiedBytes = 2 ** 20;
const harmlessFiles = 100;
let removedAtMs = Number.NEGATIVE_INFINITY;

/** A new empty folder for each run; what earlier runs left loses its large files' bytes, but keeps its inodes until disposal. */
export class RunFolders implements AsyncDisposable {
  readonly #root: string;
  #runs = 0;
  #path: string | undefined;

  constructor(root: string) {
    this.#root = root;
    process.once("exit", this.#removeNow);
  }

  /** Made and synced, with nothing left to write back from before. */
  async fresh(): Promise<string> {
    if (this.#path !== undefined) await emptyLargeFiles(this.#path);
    this.#path = join(this.#root, String(this.#runs++));
    await mkdir(this.#path, { recursive: true });
    await once(spawn("sync", ["-f", this.#path], { stdio: "inherit" }), "close");
    return this.#path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#removeNow);
    await removeTree(this.#root);
  }

  /** When a bench is interrupted. */
  readonly #removeNow = (): void => {
    rmSync(this.#root, { recursive: true, force: true });
  };
}

/** Resolves when removed inodes no longer slow down whoever makes files. */
export async function inodesRested(): Promise<void> {
  const restMs = removedAtMs + inodesRestMs - performance.now();
  if (restMs > 0) await sleep(restMs);
}

export async function removeTree(path: string): Promise<void> {
  const { files } = await countTree(path);
  await rm(path, { recursive: true, force: true });
  if (files > harmlessFiles) removedAtMs = performance.now();
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

async function emptyLargeFiles(path: string): Promise<void> {
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
