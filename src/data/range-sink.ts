import type { Crc64Kernel } from "../checksum/crc64.ts";
import type { Flow } from "../oss/http/transport.ts";
import type { BodySink } from "../oss/object-reader.ts";
import type { ByteRange, ObjectHead } from "../types.ts";
import type { Slab } from "./slab-pool.ts";

export interface RangeWriter {
  /** Writes at a position in the file; the memory is the writer's until the promise settles. */
  write(bytes: Uint8Array, position: number): Promise<void>;
}

/**
 * So many bytes are checksummed at once, where they lie: few enough to be in the processor's cache still, although other
 * connections fill theirs, and many enough for the kernel's fastest way.
 */
const checkedBytes = 64 * 1024;

/**
 * Receives a range into slabs, checksums it there and hands each full slab to the writer; pauses the connection while no
 * slab is free. `drained` settles when nothing of it is left in the writer.
 */
export class RangeSink implements BodySink {
  readonly #kernel: Crc64Kernel;
  readonly #file: RangeWriter;
  readonly #range: ByteRange;
  readonly #free: Slab[];
  #current: Slab | undefined;
  #fill = 0;
  /** Bytes of the current slab that are in the CRC. */
  #checked = 0;
  #received = 0;
  #crc = 0n;
  #flow: Flow | undefined;
  #writing = 0;
  #failure: { readonly error: unknown } | undefined;
  #onIdle: (() => void) | undefined;
  #pausedAtMs: number | undefined;
  #pausedMs = 0;

  constructor(kernel: Crc64Kernel, slabs: readonly Slab[], file: RangeWriter, range: ByteRange) {
    this.#kernel = kernel;
    this.#file = file;
    this.#range = range;
    this.#free = [...slabs];
    this.#current = this.#free.pop();
  }

  get crc64(): bigint {
    return this.#crc;
  }

  /** How long the connection was paused for the disk, so far. */
  get pausedMs(): number {
    return this.#pausedMs;
  }

  accept(_head: ObjectHead, flow: Flow): void {
    this.#flow = flow;
  }

  buffer(): Uint8Array | undefined {
    if (this.#failure) throw this.#failure.error;
    if (!this.#current) {
      this.#pausedAtMs ??= performance.now();
      return undefined;
    }
    const room = Math.min(this.#current.bytes.length - this.#fill, this.#range.length - this.#received);
    return this.#current.bytes.subarray(this.#fill, this.#fill + room);
  }

  filled(bytes: number): void {
    this.#fill += bytes;
    this.#received += bytes;
    const slab = this.#current;
    if (!slab) return;
    const isFull = this.#fill === slab.bytes.length || this.#received === this.#range.length;
    if (isFull || this.#fill - this.#checked >= checkedBytes) this.#check(slab);
    if (isFull) this.#flush(slab);
  }

  /** Resolves when every write has ended; rejects with the first that failed. */
  async drained(): Promise<void> {
    if (this.#writing > 0) {
      const startMs = performance.now();
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
      this.#pausedMs += performance.now() - startMs;
    }
    if (this.#failure) throw this.#failure.error;
  }

  #check(slab: Slab): void {
    this.#crc = this.#kernel.update(this.#crc, slab.offset + this.#checked, this.#fill - this.#checked);
    this.#checked = this.#fill;
  }

  #flush(slab: Slab): void {
    const position = this.#range.start + this.#received - this.#fill;
    const bytes = slab.bytes.subarray(0, this.#fill);
    this.#current = this.#free.pop();
    this.#fill = 0;
    this.#checked = 0;
    this.#writing++;
    this.#file.write(bytes, position).then(
      () => this.#written(slab),
      (error: unknown) => {
        this.#failure ??= { error };
        this.#written(slab);
      },
    );
  }

  #written(slab: Slab): void {
    this.#writing--;
    if (this.#current) this.#free.push(slab);
    else this.#current = slab;
    if (this.#pausedAtMs !== undefined) {
      this.#pausedMs += performance.now() - this.#pausedAtMs;
      this.#pausedAtMs = undefined;
      this.#flow?.resume();
    }
    if (this.#writing === 0) this.#onIdle?.();
  }
}
