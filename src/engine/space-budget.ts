import { CopyError } from "../errors.ts";
import type { ExistingFile } from "../types.ts";
import type { CopyTask } from "./plan.ts";

export interface FreeSpace {
  readonly freeBytes: number;
  /** Undefined where the filesystem does not count inodes. */
  readonly freeInodes: number | undefined;
  readonly blockBytes: number;
}

/** Compares what is still to come with what was free at the start. */
export class SpaceBudget {
  readonly #free: FreeSpace | undefined;
  #bytes = 0;
  #inodes = 0;
  #directory = "";
  #segments: readonly string[] = [];

  /** `free` is undefined where nothing will be written. */
  constructor(free: FreeSpace | undefined) {
    this.#free = free;
  }

  /** Reserves room for a task; throws CopyError `volume-full` with needed and available as soon as it cannot fit. */
  claim(task: CopyTask, existing: ExistingFile | undefined): void {
    if (!this.#free) return;
    const { freeBytes, freeInodes, blockBytes } = this.#free;
    const directories = this.#newDirectories(task);
    if (!existing) this.#inodes += directories + (task.kind === "directory" ? 0 : 1);
    this.#bytes += inBlocks(task.target.sizeBytes, blockBytes);
    if (existing) this.#bytes -= inBlocks(existing.sizeBytes, blockBytes);
    if (this.#bytes > freeBytes) throw doesNotFit("bytes", this.#bytes, freeBytes);
    if (freeInodes !== undefined && this.#inodes > freeInodes) throw doesNotFit("inodes", this.#inodes, freeInodes);
  }

  /** In key order a directory that differs from the last path's is one that has not come before. */
  #newDirectories(task: CopyTask): number {
    const { path } = task.target;
    const isFile = task.kind === "file";
    if (isFile && path.startsWith(this.#directory) && !path.includes("/", this.#directory.length)) return 0;
    this.#directory = isFile ? path.slice(0, path.lastIndexOf("/") + 1) : `${path}/`;
    const segments = this.#directory.split("/").slice(0, -1);
    let common = 0;
    while (common < segments.length && segments[common] === this.#segments[common]) common++;
    this.#segments = segments;
    return segments.length - common;
  }
}

function inBlocks(bytes: number, blockBytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}

function doesNotFit(what: string, needed: number, available: number): CopyError {
  return new CopyError(
    "volume-full",
    `the target is too small: it needs at least ${needed} ${what}, ${available} are available`,
  );
}
