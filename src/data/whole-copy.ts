import { createHash } from "node:crypto";
import { chooseCheck } from "../checksum/check.ts";
import { CopyError } from "../errors.ts";
import type { ObjectSink } from "../oss/object-reader.ts";
import type { ObjectHead, Verification, WholeRequest, WholeWatcher } from "../types.ts";
import type { TargetWriter } from "../volume/target-writer.ts";
import type { Slab } from "./slab-pool.ts";
import type { SlabLease, Slabs } from "./slabs.ts";

/** Sums over all copies of a plane. */
export interface Totals {
  receivedBytes: number;
  writtenBytes: number;
  sourceSeconds: number;
  diskSeconds: number;
}

export interface WholeCopyParts {
  readonly slabs: Slabs;
  readonly writer: TargetWriter;
  readonly totals: Totals;
}

/** Which object of a batch it is, and who is told how it went. */
export interface WholePlace {
  readonly index: number;
  readonly watcher: WholeWatcher;
}

/** One attempt at a whole object: received into one slab, verified there, written from there. Callbacks all the way. */
export class WholeCopy implements ObjectSink {
  readonly #parts: WholeCopyParts;
  readonly #request: WholeRequest;
  readonly #place: WholePlace;
  readonly #lease: SlabLease;
  readonly #slab: Slab;
  readonly #startMs = performance.now();
  #received = 0;

  /** Takes over the lease. */
  constructor(parts: WholeCopyParts, request: WholeRequest, place: WholePlace, lease: SlabLease) {
    const [slab] = lease.slabs;
    if (!slab) throw new RangeError("a lease without a slab");
    this.#parts = parts;
    this.#request = request;
    this.#place = place;
    this.#lease = lease;
    this.#slab = slab;
  }

  accept(): void {}

  buffer(): Uint8Array {
    return this.#slab.bytes.subarray(this.#received, this.#request.target.sizeBytes);
  }

  filled(bytes: number): void {
    this.#received += bytes;
  }

  ended(head: ObjectHead): void {
    const { writer, totals } = this.#parts;
    const { target } = this.#request;
    const receivedMs = performance.now();
    totals.receivedBytes += target.sizeBytes;
    totals.sourceSeconds += (receivedMs - this.#startMs) / 1000;
    const bytes = this.#slab.bytes.subarray(0, this.#received);
    const pooled = writer.prefersPool; // the write itself may change that
    let verification: Verification;
    try {
      verification = this.#verify(head, bytes);
      if (!pooled) writer.writeWhole(target, bytes);
    } catch (error) {
      this.#end(error);
      return;
    }
    if (!pooled) {
      this.#written(verification, receivedMs);
      return;
    }
    writer.writeWholePooled(target, bytes).then(
      () => this.#written(verification, receivedMs),
      (error: unknown) => this.#end(error),
    );
  }

  /** A failed attempt received bytes too. */
  failed(error: unknown): void {
    if (error instanceof CopyError) this.#parts.totals.receivedBytes += error.receivedBytes;
    this.#end(error);
  }

  #verify(head: ObjectHead, bytes: Uint8Array): Verification {
    const crc = this.#parts.slabs.kernel.update(0n, this.#slab.offset, bytes.length);
    return verified(this.#request.key, head, crc, bytes);
  }

  #written(verification: Verification, receivedMs: number): void {
    const { totals } = this.#parts;
    totals.writtenBytes += this.#received;
    totals.diskSeconds += (performance.now() - receivedMs) / 1000;
    this.#lease[Symbol.dispose]();
    const { watcher, index } = this.#place;
    watcher.copied(index, verification);
  }

  #end(error: unknown): void {
    this.#lease[Symbol.dispose]();
    const { watcher, index } = this.#place;
    watcher.failed(index, error);
  }
}

function verified(key: string, head: ObjectHead, crc: bigint, bytes: Uint8Array): Verification {
  const check = chooseCheck(head);
  if (check.by === "length") return "lengthOnly";
  if (check.by === "crc64") {
    if (crc === check.expected) return "crc64";
    throw new CopyError(
      "corrupt",
      `object ${JSON.stringify(key)}: CRC-64 is ${crc}, the service says ${check.expected}`,
    );
  }
  const md5 = createHash("md5").update(bytes).digest("base64");
  if (md5 === check.expected) return "md5";
  if (!check.binding) return "lengthOnly";
  throw new CopyError("corrupt", `object ${JSON.stringify(key)}: MD5 is ${md5}, the service says ${check.expected}`);
}
