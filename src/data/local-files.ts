import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { type Crc64Kernel, createCrc64Kernel, kernelBytes } from "../checksum/crc64.ts";
import { CopyError } from "../errors.ts";
import type { ExistingFile, SafePath } from "../types.ts";
import { type FoundFile, VolumeReader } from "../volume/volume-reader.ts";

const bufferBytes = 1024 * 1024;

/** A directory whose files are checksummed as they can be read back; the engine's `LocalTree`. */
export class LocalFiles implements Disposable {
  readonly #volume: VolumeReader;
  readonly #idle: Crc64Kernel[] = [];

  /** Throws CopyError `volume`. */
  constructor(root: string) {
    this.#volume = new VolumeReader(root);
  }

  walk(): AsyncGenerator<FoundFile> {
    return this.#volume.walk();
  }

  async inspect(path: SafePath): Promise<ExistingFile | undefined> {
    return this.#volume.inspect(path);
  }

  /** Each file under way has a kernel with a buffer of its own. */
  async crc64(path: SafePath, signal: AbortSignal): Promise<bigint> {
    const kernel = this.#idle.pop() ?? createCrc64Kernel(bufferBytes);
    const buffer = new Uint8Array(kernel.memory.buffer, kernelBytes, bufferBytes);
    let crc = 0n;
    for await (const length of this.#read(path, buffer, signal)) crc = kernel.update(crc, kernelBytes, length);
    this.#idle.push(kernel);
    return crc;
  }

  async md5(path: SafePath, signal: AbortSignal): Promise<string> {
    const buffer = Buffer.allocUnsafe(bufferBytes);
    const hash = createHash("md5");
    for await (const length of this.#read(path, buffer, signal)) hash.update(buffer.subarray(0, length));
    return hash.digest("base64");
  }

  [Symbol.dispose](): void {
    this.#volume[Symbol.dispose]();
  }

  /** Fills `buffer` again and again, to the end of the file; yields how far. */
  async *#read(path: SafePath, buffer: Uint8Array, signal: AbortSignal): AsyncGenerator<number> {
    await using file: FileHandle = await this.#volume.open(path);
    for (;;) {
      signal.throwIfAborted();
      let bytesRead: number;
      try {
        ({ bytesRead } = await file.read(buffer, 0, buffer.length, null));
      } catch (error) {
        throw new CopyError("volume", `cannot read ${path}: ${String(error)}`, { cause: error });
      }
      if (bytesRead === 0) return;
      yield bytesRead;
    }
  }
}
