import { createHash } from "node:crypto";
import { createCrc64Kernel, kernelBytes } from "../checksum/crc64.ts";
import type { ExistingFile, SafePath } from "../types.ts";
import type { Device } from "../volume/device.ts";

const bufferBytes = 1024 * 1024;

/** The beginning of a device as the one file of a tree, whatever its path; the engine's `LocalTree`. */
export class LocalDevice {
  readonly #device: Device;
  readonly #sizeBytes: number;

  /** `objectBytes` of the device are looked at, or all if it has no more. */
  constructor(device: Device, objectBytes: number) {
    this.#device = device;
    this.#sizeBytes = Math.min(objectBytes, device.sizeBytes);
  }

  /** Nothing on a device has a name that could be one too many. */
  async *walk(): AsyncGenerator<never> {}

  async inspect(): Promise<ExistingFile> {
    return { kind: "file", sizeBytes: this.#sizeBytes, modifiedMs: 0 };
  }

  async crc64(_path: SafePath, signal: AbortSignal): Promise<bigint> {
    const kernel = createCrc64Kernel(bufferBytes);
    const buffer = new Uint8Array(kernel.memory.buffer, kernelBytes, bufferBytes);
    let crc = 0n;
    for await (const length of this.#read(buffer, signal)) crc = kernel.update(crc, kernelBytes, length);
    return crc;
  }

  async md5(_path: SafePath, signal: AbortSignal): Promise<string> {
    const kernel = createCrc64Kernel(bufferBytes);
    const buffer = new Uint8Array(kernel.memory.buffer, kernelBytes, bufferBytes);
    const hash = createHash("md5");
    for await (const length of this.#read(buffer, signal)) hash.update(buffer.subarray(0, length));
    return hash.digest("base64");
  }

  /** Fills `buffer` again and again, to the end of the object; yields how far. Throws CopyError. */
  async *#read(buffer: Uint8Array, signal: AbortSignal): AsyncGenerator<number> {
    for (let done = 0; done < this.#sizeBytes; done += buffer.length) {
      signal.throwIfAborted();
      const got = await this.#device.read(buffer, done);
      yield Math.min(got, this.#sizeBytes - done);
    }
  }
}
