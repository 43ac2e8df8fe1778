import { combineCrc64 } from "../checksum/crc64.ts";
import { CopyError } from "../errors.ts";
import type { ByteRange, ObjectHead, RangeResult } from "../types.ts";
import type { Extent } from "./checkpoint-extents.ts";

interface Received {
  readonly start: number;
  readonly end: number;
  readonly crc64: bigint;
}

/** What has arrived of one version of an object. Neighbours are merged: its size follows the gaps, not the ranges. */
export class ReceivedRanges {
  readonly #key: string;
  readonly #byStart = new Map<number, Received>();
  readonly #byEnd = new Map<number, Received>();
  #head: ObjectHead | undefined;

  /** `extents` arrived in an earlier run, of the same version. */
  constructor(key: string, extents: readonly Extent[] = []) {
    this.#key = key;
    for (const { start, length, crc64 } of extents) this.#insert({ start, end: start + length, crc64 });
  }

  /** Throws CopyError `changed` when the answers contradict each other: then they are of different versions. */
  add({ start, length }: ByteRange, { crc64, head }: RangeResult): void {
    this.#head ??= head;
    if (head.crc64 !== this.#head.crc64 || head.etag !== this.#head.etag) {
      throw new CopyError("changed", `object ${JSON.stringify(this.#key)} changed while its ranges were read`);
    }
    this.#insert({ start, end: start + length, crc64 });
  }

  #insert(received: Received): void {
    let extent = received;
    const before = this.#byEnd.get(extent.start);
    if (before) extent = this.#join(before, extent);
    const after = this.#byStart.get(extent.end);
    if (after) extent = this.#join(extent, after);
    this.#byStart.set(extent.start, extent);
    this.#byEnd.set(extent.end, extent);
  }

  /**
   * The CRC-64 of all `sizeBytes`, and the head that all answers share: undefined if there were none. Throws Error when
   * bytes are missing.
   */
  whole(sizeBytes: number): { readonly crc64: bigint; readonly head: ObjectHead | undefined } {
    const all = this.#byStart.get(0);
    if (all?.end !== sizeBytes) throw new Error(`object ${this.#key} is not complete`);
    return { crc64: all.crc64, head: this.#head };
  }

  #join(left: Received, right: Received): Received {
    this.#byEnd.delete(left.end);
    this.#byStart.delete(right.start);
    const crc64 = combineCrc64(left.crc64, right.crc64, right.end - right.start);
    return { start: left.start, end: right.end, crc64 };
  }
}
