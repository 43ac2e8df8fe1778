import { createHash } from "node:crypto";
import { crc64 } from "../../src/checksum/crc64.ts";
import { compareKeys } from "../../src/engine/key-order.ts";
import type { LocalFile, LocalTree } from "../../src/engine/verify-run.ts";
import type { ExistingFile, SafePath } from "../../src/types.ts";

/** A directory in memory to be audited. */
export class MemoryTree implements LocalTree {
  readonly files = new Map<string, Uint8Array>();
  readonly directories = new Set<string>();
  /** Called before each read of a file. */
  beforeRead: (path: string) => Promise<void> = async () => {};
  beforeInspect: (path: string) => Promise<void> = async () => {};
  walking = 0;
  reading = 0;

  async *walk(): AsyncGenerator<LocalFile> {
    this.walking++;
    try {
      for (const path of [...this.files.keys()].toSorted(compareKeys)) {
        const file = this.#look(path);
        if (file) yield { ...file, path: path as SafePath };
      }
    } finally {
      this.walking--;
    }
  }

  async inspect(path: SafePath): Promise<ExistingFile | undefined> {
    await this.beforeInspect(path);
    return this.#look(path);
  }

  crc64(path: SafePath, signal: AbortSignal): Promise<bigint> {
    return this.#read(path, signal, crc64);
  }

  md5(path: SafePath, signal: AbortSignal): Promise<string> {
    return this.#read(path, signal, (bytes) => createHash("md5").update(bytes).digest("base64"));
  }

  async #read<T>(path: string, signal: AbortSignal, digest: (bytes: Uint8Array) => T): Promise<T> {
    this.reading++;
    try {
      await this.beforeRead(path);
      signal.throwIfAborted();
      return digest(this.files.get(path) ?? new Uint8Array());
    } finally {
      this.reading--;
    }
  }

  #look(path: string): ExistingFile | undefined {
    if (this.directories.has(path)) return { kind: "directory", sizeBytes: 0, modifiedMs: 0 };
    const bytes = this.files.get(path);
    return bytes && { kind: "file", sizeBytes: bytes.length, modifiedMs: 0 };
  }
}
