import type { BodySink } from "../oss/object-reader.ts";
import type { Slab } from "./slab-pool.ts";

/** Receives a whole body into one slab. */
export class WholeSink implements BodySink {
  readonly #slab: Slab;
  readonly #lengthBytes: number;
  #received = 0;

  constructor(slab: Slab, lengthBytes: number) {
    this.#slab = slab;
    this.#lengthBytes = lengthBytes;
  }

  /** What has been received; the slab's own memory. */
  get bytes(): Uint8Array {
    return this.#slab.bytes.subarray(0, this.#received);
  }

  accept(): void {}

  buffer(): Uint8Array {
    return this.#slab.bytes.subarray(this.#received, this.#lengthBytes);
  }

  filled(bytes: number): void {
    this.#received += bytes;
  }
}
