import { createHash } from "node:crypto";
import { CopyError } from "../errors.ts";
import type { ExistingFile, FileTarget, SafePath } from "../types.ts";
import { directFileOf, headBytes } from "./device.ts";
import { checkPiece, type DirectFile } from "./direct-file.ts";
import type { OpenFile, TargetWriter } from "./target-writer.ts";

export interface DeviceWriterOptions {
  readonly kind: "device";
  /** Real path, for messages. */
  readonly path: string;
  /** The device, which this process has open. */
  readonly descriptor: number;
  /** Where the first `headBytes` of the object wait, for all threads, until whoever made it writes them. */
  readonly head: SharedArrayBuffer;
  /** How far any thread has written so far, as one BigInt64. */
  readonly reach: SharedArrayBuffer;
  /** Bytes that an object may have. */
  readonly roomBytes: number;
}

/**
 * Writes one object to a device, from byte 0, but for its first `headBytes`: these only wait in memory. Whoever made the
 * writer syncs the device and writes them, once the object is complete and verified.
 */
export class DeviceWriter implements TargetWriter {
  readonly prefersPool = false;
  readonly fsyncsFiles = false;
  readonly #options: DeviceWriterOptions;

  constructor(options: DeviceWriterOptions) {
    this.#options = options;
  }

  /** Throws RangeError for more than `headBytes`. */
  writeWhole(_target: FileTarget, bytes: Uint8Array): void {
    new Uint8Array(this.#options.head).set(bytes);
  }

  async writeWholePooled(target: FileTarget, bytes: Uint8Array): Promise<void> {
    this.writeWhole(target, bytes);
  }

  /** Throws CopyError `volume-full` for an object that has grown beyond the room there is. */
  async openFile(target: FileTarget): Promise<OpenFile> {
    return this.#open(target);
  }

  reopenFile(target: FileTarget, _leastBytes: number): OpenFile {
    return this.#open(target);
  }

  joinFile(target: FileTarget, _descriptor: number): OpenFile {
    return this.#open(target);
  }

  /** There are no names in the way. */
  clearPlace(): boolean {
    return false;
  }

  makeDirectory(path: SafePath): void {
    throw new CopyError("unsupported", `a device cannot hold the directory \`${path}\``);
  }

  async inspect(paths: readonly SafePath[]): Promise<(ExistingFile | undefined)[]> {
    return paths.map(() => undefined);
  }

  async publish(targets: readonly FileTarget[]): Promise<(undefined | Error)[]> {
    return targets.map(() => undefined);
  }

  async syncDirectories(): Promise<void> {}

  [Symbol.dispose](): void {}

  #open(target: FileTarget): DeviceFile {
    const { path, roomBytes } = this.#options;
    if (target.sizeBytes > roomBytes) {
      const message = `the object has ${target.sizeBytes} bytes by now, and ${roomBytes} are left for it on ${path}`;
      throw new CopyError("volume-full", `${message}; another run starts over`);
    }
    return new DeviceFile(this.#options, target);
  }
}

/** One object on its way to a device. */
class DeviceFile implements OpenFile {
  readonly #head: Uint8Array;
  readonly #reach: BigInt64Array;
  readonly #target: FileTarget;
  readonly #path: string;
  readonly #file: DirectFile;

  /** Throws CopyError. */
  constructor(options: DeviceWriterOptions, target: FileTarget) {
    this.#head = new Uint8Array(options.head);
    this.#reach = new BigInt64Array(options.reach);
    this.#target = target;
    this.#path = options.path;
    this.#file = directFileOf(options);
  }

  get descriptor(): number {
    return this.#file.descriptor;
  }

  async write(bytes: Uint8Array, offset: number): Promise<void> {
    checkPiece({ start: offset, length: bytes.length }, this.#target.sizeBytes, this.#path);
    const held = bytes.subarray(0, Math.max(0, headBytes - offset));
    if (held.length > 0) this.#head.set(held, offset);
    if (held.length < bytes.length) await this.#writeBehind(bytes.subarray(held.length), offset + held.length);
  }

  async md5(sizeBytes: number, signal: AbortSignal): Promise<string> {
    const hash = createHash("md5").update(this.#head.subarray(0, sizeBytes));
    await this.#file.hash(hash, { start: headBytes, length: sizeBytes - headBytes }, signal);
    return hash.digest("base64");
  }

  async sync(): Promise<void> {
    await this.#file.sync();
  }

  async settle(): Promise<void> {
    await this.#close();
  }

  /** What was written stays: without its beginning it is no disk. */
  async abandon(): Promise<void> {
    await this.#close();
  }

  async #writeBehind(bytes: Uint8Array, offset: number): Promise<void> {
    raise(this.#reach, BigInt(offset + bytes.length));
    await this.#file.write(bytes, offset);
  }

  /** Nothing is in doubt that a failing close could tell of: the device is synced through another descriptor. */
  async #close(): Promise<void> {
    await this.#file.close().catch(() => {});
  }
}

/** Makes a number that threads share no less than `least`. */
function raise(shared: BigInt64Array, least: bigint): void {
  for (let known = Atomics.load(shared, 0); known < least; ) {
    const found = Atomics.compareExchange(shared, 0, known, least);
    if (found === known) return;
    known = found;
  }
}
