import type { Hash } from "node:crypto";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import type { ByteRange } from "../types.ts";
import { alignedMemory } from "./aligned-memory.ts";
import { bytesTaken, errnoOf } from "./errors.ts";
import { pooled } from "./pooled.ts";

/** Alignment that direct writes keep to: the largest logical block in use, and the page of every common kernel. */
export const blockBytes = 4096;

/** Dirty bytes of one file in the page cache, unless told otherwise. */
export const mostDirtyBytes = 32 * 2 ** 20;

const readBackBytes = 2 ** 20;

/**
 * How bytes reach a file: past the page cache until the kernel refuses that; through it; or into memory that is the file,
 * where a write is a copy and waits for nothing.
 */
export type FileIo = "direct" | "buffered" | "memory";

export interface DirectFileOptions {
  readonly io: FileIo;
  /** Dirty bytes in the page cache at most: they count against the memory limit, and the last sync waits for them. */
  readonly dirtyBytes?: number;
  /** Whether the descriptor only reads. */
  readonly readOnly?: boolean;
  /** The CopyError for a system error of a call, such as `write`. */
  readonly errorOf: (error: unknown, action: string) => unknown;
}

/** Writes under way past the page cache: one alone leaves the disk idle between two, many gain nothing more. */
const writesAtOnce = 4;

/**
 * The bytes of an open file or device. Calls run in the thread pool, but for writes into memory: a few writes at once,
 * everything else after the calls before it; all throw CopyError.
 */
export class DirectFile {
  readonly #options: DirectFileOptions;
  #descriptor: number;
  #direct: boolean;
  #open = true;
  #dirtyBytes = 0;
  /** Descriptors that were left for another; a call under way may still use them. */
  readonly #left: number[] = [];
  /** Each settles with the last write that goes this way; none rejects. */
  readonly #lanes: Promise<unknown>[] = Array.from({ length: writesAtOnce }, () => Promise.resolve());
  #writes = 0;
  /** What a sync failed with: the system tells of lost bytes once only. */
  #broken: { readonly error: unknown } | undefined;
  /** Settles with the last call asked for that is no write; never rejects. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Takes over a descriptor. Throws CopyError. */
  constructor(descriptor: number, options: DirectFileOptions) {
    this.#options = options;
    this.#descriptor = descriptor;
    this.#direct = options.io === "direct";
    if (this.#direct) this.#enterDirectIo();
  }

  /** Changes when the file leaves direct I/O. */
  get descriptor(): number {
    return this.#descriptor;
  }

  /** Whether reads and writes bypass the page cache. */
  get direct(): boolean {
    return this.#direct;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Resolves when the calls asked for so far have ended. */
  async idle(): Promise<void> {
    await Promise.all([this.#turn, ...this.#lanes]);
  }

  /**
   * Writes `bytes`; behind them the memory up to the next 4 KiB boundary is zeroed and, past the page cache, written too.
   * Writes under way must not overlap.
   */
  write(bytes: Uint8Array, offset: number): Promise<void> {
    // Buffered writers of one file wait for each other in the kernel.
    const lane = this.#direct ? this.#writes++ % writesAtOnce : 0;
    const write = (this.#lanes[lane] ?? this.#turn).then(() => this.#writeNow(bytes, offset));
    // Whoever asked for that write has its error.
    this.#lanes[lane] = write.catch(() => {});
    return write;
  }

  /** Fills `memory` from `offset` on as far as the file reaches; resolves to the bytes read. */
  read(memory: Uint8Array, offset: number): Promise<number> {
    return this.#inTurn(() => this.#readNow(memory, offset));
  }

  /** Feeds a range, as far as the file reaches, to `hash`, through a buffer of 1 MiB. Also throws the signal's reason. */
  async hash(hash: Hash, { start, length }: ByteRange, signal: AbortSignal): Promise<void> {
    const memory = alignedMemory(readBackBytes);
    for (let done = 0; done < length; ) {
      signal.throwIfAborted();
      const used = Math.min(await this.read(memory, start + done), length - done);
      if (used === 0) return;
      hash.update(memory.subarray(0, used));
      done += used;
    }
  }

  /** Puts what was written before the call on stable storage; once that has failed, it always fails. */
  sync(): Promise<void> {
    return this.#inTurn(() => this.#syncNow());
  }

  /** Closes the descriptor after the last call; rejects with the system's own error. */
  async close(): Promise<void> {
    await this.idle();
    if (!this.#open) return;
    this.#open = false;
    await Promise.all([...this.#left, this.#descriptor].map((descriptor) => pooled.close(descriptor)));
  }

  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.idle().then(call);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #writeNow(bytes: Uint8Array, offset: number): Promise<void> {
    if (this.#direct && bytes.byteOffset + bytes.length + padding(bytes.length) > bytes.buffer.byteLength) {
      throw new RangeError(`no room to round ${bytes.length} bytes up to a block`);
    }
    let done = 0;
    while (done < bytes.length) {
      const direct = this.#direct; // until a write beside this one finds that it cannot be
      const piece = direct ? roundedUp(bytes.subarray(done)) : bytes.subarray(done);
      const wanted = Math.min(piece.length, bytes.length - done);
      const written = await this.#attempt(piece, offset + done, direct);
      if (written === undefined) continue;
      if (written >= wanted || !direct) {
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
  async #attempt(piece: Uint8Array, offset: number, direct: boolean): Promise<number | undefined> {
    try {
      // Handing a copy of memory to another CPU costs more than the copy.
      if (this.#options.io === "memory") return bytesTaken(writeSync(this.#descriptor, piece, 0, piece.length, offset));
      const { bytesWritten } = await pooled.write(this.#descriptor, piece, 0, piece.length, offset);
      return direct ? bytesWritten : bytesTaken(bytesWritten);
    } catch (error) {
      if (!direct || errnoOf(error) !== "EINVAL") throw this.#failed(error, "write");
      this.#leaveDirectIo();
      return undefined;
    }
  }

  async #limitDirty(writtenBytes: number): Promise<void> {
    if (this.#direct || this.#options.io === "memory") return;
    this.#dirtyBytes += writtenBytes;
    if (this.#dirtyBytes < (this.#options.dirtyBytes ?? mostDirtyBytes)) return;
    await this.#syncNow();
  }

  async #syncNow(): Promise<void> {
    this.#dirtyBytes = 0;
    if (this.#broken) throw this.#broken.error;
    if (!this.#open) return;
    try {
      await pooled.fdatasync(this.#descriptor);
    } catch (error) {
      this.#broken = { error: this.#failed(error, "sync") };
      throw this.#broken.error;
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

  #enterDirectIo(): void {
    let old: number;
    try {
      old = this.#reopen(constants.O_DIRECT);
    } catch {
      this.#direct = false;
      return;
    }
    try {
      closeSync(old);
    } catch (error) {
      throw this.#failed(error, "open");
    }
  }

  #leaveDirectIo(): void {
    if (!this.#direct) return;
    try {
      this.#left.push(this.#reopen(0));
    } catch (error) {
      throw this.#failed(error, "reopen");
    }
    this.#direct = false;
  }

  /** Opens the same file with other flags, by its descriptor: no name, so nothing to follow. Returns the one before. */
  #reopen(flags: number): number {
    const old = this.#descriptor;
    const access = this.#options.readOnly ? constants.O_RDONLY : constants.O_RDWR;
    this.#descriptor = openSync(`/proc/self/fd/${old}`, access | flags);
    return old;
  }

  #failed(error: unknown, action: string): unknown {
    return this.#options.errorOf(error, action);
  }
}

/**
 * Throws RangeError unless a piece of something of `sizeBytes` keeps to blocks: rounded up anywhere but at the end, it
 * would overwrite the piece that follows with zeros.
 */
export function checkPiece(piece: ByteRange, sizeBytes: number, name: string): void {
  const { start, length } = piece;
  const end = start + length;
  if (start % blockBytes === 0 && (length % blockBytes === 0 || end === sizeBytes) && end <= sizeBytes) return;
  throw new RangeError(`${length} bytes at ${start} do not fit into blocks of ${name}`);
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
