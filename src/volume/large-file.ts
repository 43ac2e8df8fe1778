import { createHash } from "node:crypto";
import { constants, fstatSync, openSync } from "node:fs";
import type { FileTarget } from "../types.ts";
import { lacksOf } from "./attributes.ts";
import { checkPiece, DirectFile, type FileIo } from "./direct-file.ts";
import { volumeError } from "./errors.ts";
import type { Placement } from "./placement.ts";
import { dressFilePooled, pooled } from "./pooled.ts";
import { reserveBlocks, reserveFromBytes } from "./reserve.ts";
import type { OpenFile } from "./target-writer.ts";
import type { FileSettings } from "./whole-file.ts";

/** Until it is settled a file is ours alone, whatever its final mode: it may have to be opened again. */
const workingMode = 0o600;

export interface LargeFileOptions extends FileSettings {
  readonly placement: Placement;
  readonly io: FileIo;
  /** Dirty bytes in the page cache at most: they count against the memory limit, and the last sync waits for them. */
  readonly dirtyBytes: number;
}

/** A file that arrives in pieces. */
export class LargeFile implements OpenFile {
  readonly #options: LargeFileOptions;
  readonly #file: DirectFile;
  readonly #target: FileTarget;
  /** Whether another writer settles the file. */
  #joined = false;
  /** What finishing failed with: the system tells of lost bytes once only. */
  #broken: { readonly error: unknown } | undefined;
  /** Settles with the last sync or end asked for; never rejects. */
  #lastTurn: Promise<unknown> = Promise.resolve();

  private constructor(options: LargeFileOptions, target: FileTarget, descriptor: number) {
    this.#options = options;
    this.#target = target;
    const errorOf = (error: unknown, action: string): unknown => this.#failed(error, action);
    this.#file = new DirectFile(descriptor, { io: options.io, dirtyBytes: options.dirtyBytes, errorOf });
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

  /**
   * Another descriptor of a file that is open already, for writing from another thread; it is not the one to settle. Throws
   * CopyError.
   */
  static join(options: LargeFileOptions, target: FileTarget, descriptor: number): LargeFile {
    try {
      const file = new LargeFile(options, target, openSync(`/proc/self/fd/${descriptor}`, constants.O_RDWR));
      file.#joined = true;
      return file;
    } catch (error) {
      throw volumeError(error, "open once more", options.placement.absolute(target));
    }
  }

  /** Changes when the file leaves direct I/O. */
  get descriptor(): number {
    return this.#file.descriptor;
  }

  /** Whether writes bypass the page cache. */
  get direct(): boolean {
    return this.#file.direct;
  }

  get target(): FileTarget {
    return this.#target;
  }

  /**
   * Writes `bytes` at a multiple of 4 KiB. Only the piece that ends the file may have a length that is none; behind it
   * the memory up to the next 4 KiB boundary is zeroed and written too. Throws CopyError.
   */
  async write(bytes: Uint8Array, offset: number): Promise<void> {
    const { sizeBytes, path } = this.#target;
    checkPiece({ start: offset, length: bytes.length }, sizeBytes, path);
    await this.#file.write(bytes, offset);
  }

  /** Gives the file its exact length, mode, times and owner and closes it; when staged, times come with the name. */
  settle(): Promise<void> {
    return this.#inTurn(() => this.#settleNow());
  }

  async #settleNow(): Promise<void> {
    await this.#file.idle();
    const { attributes, setsTimes, fsyncFiles } = this.#options;
    try {
      await pooled.ftruncate(this.descriptor, this.#target.sizeBytes);
      const lacks = lacksOf(fstatSync(this.descriptor), attributes);
      await dressFilePooled(this.descriptor, attributes, lacks, setsTimes ? this.#target.modifiedMs : undefined);
      if (fsyncFiles) await pooled.fsync(this.descriptor);
      await this.#file.close();
    } catch (error) {
      this.#broken = { error: this.#failed(error, "finish") };
      throw this.#broken.error;
    }
  }

  /** Puts what was written before the call on stable storage. Throws CopyError, and once it has, always. */
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
    await this.#file.idle();
    if (!this.#file.isOpen) return;
    try {
      if (remove) this.#options.placement.remove(this.#target, this.descriptor);
      else if (this.#options.fsyncFiles && !this.#joined) await this.#syncNow();
    } finally {
      // What is synced or not wanted cannot be lost by a failing close.
      await this.#file.close().catch(() => {});
    }
  }

  async #syncNow(): Promise<void> {
    if (this.#broken) throw this.#broken.error;
    await this.#file.sync();
  }

  /** A sync that is asked for while the file is being settled must not be over before it. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#lastTurn.then(work);
    // Whoever asked for that work has its error.
    this.#lastTurn = turn.catch(() => {});
    return turn;
  }

  /** Base64 MD5 of the first `sizeBytes` as the device holds them, read through a buffer of 1 MiB. */
  async md5(sizeBytes: number, signal: AbortSignal): Promise<string> {
    const hash = createHash("md5");
    await this.#file.hash(hash, { start: 0, length: sizeBytes }, signal);
    return hash.digest("base64");
  }

  /** The page cache finds blocks for many writes at once; a tmpfs would have to find all its memory before the first. */
  async #reserve(): Promise<void> {
    if (!this.direct || this.#target.sizeBytes < reserveFromBytes) return;
    await reserveBlocks(this.descriptor, this.#target.sizeBytes, this.#options.placement.absolute(this.#target));
  }

  #failed(error: unknown, action: string): unknown {
    return volumeError(error, action, this.#options.placement.absolute(this.#target));
  }
}
