import { createHash } from "node:crypto";
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import type { FileTarget } from "../types.ts";
import { lacksOf } from "./attributes.ts";
import { errnoOf, volumeError } from "./errors.ts";
import type { Placement } from "./placement.ts";
import { dressFilePooled, pooled } from "./pooled.ts";
import { reserveBlocks, reserveFromBytes } from "./reserve.ts";
import type { FileSettings } from "./whole-file.ts";

/** Alignment that direct writes keep to: the largest logical block in use, and the page of every common kernel. */
export const blockBytes = 4096;

/** Until it is settled a file is ours alone, whatever its final mode: it may have to be opened again. */
const workingMode = 0o600;
const readBackBytes = 2 ** 20;
const wasmPageBytes = 65_536;
/** Dirty bytes of one file in the page cache at most: they count against the memory limit, and the last sync waits for them. */
export const mostDirtyBytes = 32 * 2 ** 20;

export interface LargeFileOptions extends FileSettings {
  readonly placement: Placement;
  /** Whether direct I/O is tried. */
  readonly directIo: boolean;
}

/** A file that arrives in pieces. Writes run one after the other, in the thread pool; many files may be written at once. */
export class LargeFile {
  readonly #options: LargeFileOptions;
  #target: FileTarget;
  #descriptor: number;
  #direct: boolean;
  #open = true;
  /** Whether another writer settles the file. */
  #joined = false;
  #dirtyBytes = 0;
  /** What a sync failed with: the system tells of lost bytes once only. */
  #broken: { readonly error: unknown } | undefined;
  /** Settles with the last write asked for; never rejects. */
  #idle: Promise<unknown> = Promise.resolve();

  private constructor(options: LargeFileOptions, target: FileTarget, descriptor: number) {
    this.#options = options;
    this.#target = target;
    this.#descriptor = descriptor;
    this.#direct = options.directIo;
    if (!options.directIo) return;
    try {
      this.#reopen(constants.O_DIRECT);
    } catch {
      this.#direct = false;
    }
  }

  /** Makes an empty file; throws CopyError `occupied`, `unsupported`, `volume-full` or `volume`. */
  static async create(options: LargeFileOptions, target: FileTarget): Promise<LargeFile> {
    // Not O_DIRECT at once: a filesystem without it would make the file and then refuse to open it.
    const { descriptor } = options.placement.create(target, constants.O_RDWR, workingMode);
    const file = new LargeFile(options, target, descriptor);
    try {
      await file.#reserve();
    } catch (error) {
      await file.abandon({ remove: true });
      throw error;
    }
    return file;
  }

  /**
   * Goes on with the file that an earlier run left in the target's place, if it is at least `leastBytes` long; otherwise
   * it is removed and undefined comes back. Only for places that an owner record says are ours. Throws CopyError.
   */
  static reopen(options: LargeFileOptions, target: FileTarget, leastBytes: number): LargeFile | undefined {
    const descriptor = options.placement.reopen(target, leastBytes);
    return descriptor === undefined ? undefined : new LargeFile(options, target, descriptor);
  }

  /** Another descriptor of a file that is open already, for writing from another thread; it is not the one to settle. */
  static join(options: LargeFileOptions, target: FileTarget, descriptor: number): LargeFile {
    const file = new LargeFile(options, target, openSync(`/proc/self/fd/${descriptor}`, constants.O_RDWR));
    file.#joined = true;
    return file;
  }

  /** Changes when the file leaves direct I/O. */
  get descriptor(): number {
    return this.#descriptor;
  }

  /** Whether writes bypass the page cache. */
  get direct(): boolean {
    return this.#direct;
  }

  get target(): FileTarget {
    return this.#target;
  }

  /**
   * Writes `bytes` at a multiple of 4 KiB. Only the piece that ends the file may have a length that is none; behind it
   * the memory up to the next 4 KiB boundary is zeroed and written too. Throws CopyError.
   */
  write(bytes: Uint8Array, offset: number): Promise<void> {
    return this.#inTurn(() => this.#writeNow(bytes, offset));
  }

  /** Gives the file its exact length, mode, times and owner and closes it; when staged, times come with the name. */
  settle(): Promise<void> {
    return this.#inTurn(() => this.#settleNow());
  }

  async #settleNow(): Promise<void> {
    const { attributes, setsTimes, fsyncFiles } = this.#options;
    try {
      await pooled.ftruncate(this.#descriptor, this.#target.sizeBytes);
      const lacks = lacksOf(fstatSync(this.#descriptor), attributes);
      await dressFilePooled(this.#descriptor, attributes, lacks, setsTimes ? this.#target.modifiedMs : undefined);
      if (fsyncFiles) await pooled.fsync(this.#descriptor);
      this.#open = false;
      await pooled.close(this.#descriptor);
    } catch (error) {
      throw this.#brokenBy(error, "finish");
    }
  }

  /** Empties the file after its last write, for another attempt at the object or at a newer version of it. */
  async restart(target: FileTarget): Promise<void> {
    await this.#idle;
    try {
      await pooled.ftruncate(this.#descriptor, 0);
    } catch (error) {
      throw this.#failed(error, "empty");
    }
    this.#options.placement.restage(this.#target, target);
    this.#target = target;
    await this.#reserve();
  }

  /** Puts what was written before the call on stable storage. Throws CopyError. */
  sync(): Promise<void> {
    return this.#inTurn(() => this.#syncNow());
  }

  /**
   * Closes the file after its last write; removes it, or leaves it for another run, which may rely on what was written.
   * A second call does nothing. Throws CopyError.
   */
  abandon(options: { readonly remove: boolean }): Promise<void> {
    return this.#inTurn(() => this.#abandonNow(options));
  }

  async #abandonNow({ remove }: { readonly remove: boolean }): Promise<void> {
    if (!this.#open) return;
    try {
      if (remove) this.#options.placement.remove(this.#target, this.#descriptor);
      else if (this.#options.fsyncFiles && !this.#joined) await this.#syncNow();
    } finally {
      this.#open = false;
      await pooled.close(this.#descriptor).catch(() => {}); // what is synced or not wanted cannot be lost here
    }
  }

  /** Does `work` after all that was asked for before. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#idle.then(work);
    // Whoever asked for that work has its error.
    this.#idle = turn.catch(() => {});
    return turn;
  }

  /** Base64 MD5 of the first `sizeBytes` as the device holds them, read through a buffer of 1 MiB. */
  async md5(sizeBytes: number, signal: AbortSignal): Promise<string> {
    await this.#idle;
    const hash = createHash("md5");
    const pages = readBackBytes / wasmPageBytes;
    // WebAssembly memory begins on a page boundary, as direct reads need it.
    const memory = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
    for (let done = 0; done < sizeBytes; ) {
      signal.throwIfAborted();
      const got = await this.#readNow(memory, done);
      const used = Math.min(got, sizeBytes - done);
      if (used === 0) break;
      hash.update(memory.subarray(0, used));
      done += used;
    }
    return hash.digest("base64");
  }

  async #reserve(): Promise<void> {
    if (this.#target.sizeBytes < reserveFromBytes) return;
    await reserveBlocks(this.#descriptor, this.#target.sizeBytes, this.#options.placement.absolute(this.#target));
  }

  async #writeNow(bytes: Uint8Array, offset: number): Promise<void> {
    this.#checkPiece(bytes, offset);
    let done = 0;
    while (done < bytes.length) {
      const piece = this.#direct ? roundedUp(bytes.subarray(done)) : bytes.subarray(done);
      const wanted = Math.min(piece.length, bytes.length - done);
      const written = await this.#attempt(piece, offset + done);
      if (written === undefined) continue;
      if (written >= wanted || !this.#direct) {
        done += Math.min(written, wanted);
        await this.#limitDirty(written);
        continue;
      }
      // A direct write can only go on at a block boundary; less than a block is no progress.
      const whole = written - (written % blockBytes);
      if (whole === 0) this.#leaveDirectIo();
      done += whole;
    }
  }

  /** Bytes written, or undefined after this file changed to buffered writes. */
  async #attempt(piece: Uint8Array, offset: number): Promise<number | undefined> {
    try {
      return (await pooled.write(this.#descriptor, piece, 0, piece.length, offset)).bytesWritten;
    } catch (error) {
      if (!this.#direct || errnoOf(error) !== "EINVAL") throw this.#failed(error, "write");
      this.#leaveDirectIo();
      return undefined;
    }
  }

  async #limitDirty(writtenBytes: number): Promise<void> {
    if (this.#direct) return;
    this.#dirtyBytes += writtenBytes;
    if (this.#dirtyBytes < mostDirtyBytes) return;
    await this.#syncNow();
  }

  async #syncNow(): Promise<void> {
    this.#dirtyBytes = 0;
    if (this.#broken) throw this.#broken.error;
    if (!this.#open) return;
    try {
      await pooled.fdatasync(this.#descriptor);
    } catch (error) {
      throw this.#brokenBy(error, "sync");
    }
  }

  async #readNow(memory: Uint8Array, offset: number): Promise<number> {
    for (;;) {
      try {
        return (await pooled.read(this.#descriptor, memory, 0, memory.length, offset)).bytesRead;
      } catch (error) {
        if (!this.#direct || errnoOf(error) !== "EINVAL") throw this.#failed(error, "read back");
        this.#leaveDirectIo();
      }
    }
  }

  #leaveDirectIo(): void {
    try {
      this.#reopen(0);
    } catch (error) {
      throw this.#failed(error, "reopen");
    }
    this.#direct = false;
  }

  /** Opens the same file with other flags, by its descriptor: no name, so nothing to follow. */
  #reopen(flags: number): void {
    const old = this.#descriptor;
    this.#descriptor = openSync(`/proc/self/fd/${old}`, constants.O_RDWR | flags);
    closeSync(old);
  }

  #checkPiece(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.length;
    const aligned = bytes.length % blockBytes === 0 || end === this.#target.sizeBytes;
    // Rounding up anywhere else would overwrite the piece that follows with zeros.
    if (offset % blockBytes !== 0 || !aligned || end > this.#target.sizeBytes) {
      throw new RangeError(`${bytes.length} bytes at ${offset} do not fit into blocks of ${this.#target.path}`);
    }
    if (this.#direct && bytes.byteOffset + bytes.length + padding(bytes.length) > bytes.buffer.byteLength) {
      throw new RangeError(`no room to round ${bytes.length} bytes up to a block`);
    }
  }

  #brokenBy(error: unknown, action: string): unknown {
    this.#broken ??= { error: this.#failed(error, action) };
    return this.#broken.error;
  }

  #failed(error: unknown, action: string): unknown {
    return volumeError(error, action, this.#options.placement.absolute(this.#target));
  }
}

function padding(lengthBytes: number): number {
  return (blockBytes - (lengthBytes % blockBytes)) % blockBytes;
}

/** The same bytes followed by zeros up to a block boundary, in the same memory. */
function roundedUp(bytes: Uint8Array): Uint8Array {
  const extra = padding(bytes.length);
  if (extra === 0) return bytes;
  const whole = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length + extra);
  whole.fill(0, bytes.length);
  return whole;
}
