import { type Crc64Kernel, createCrc64Kernel, kernelBytes } from "../checksum/crc64.ts";
import { type Slab, type SlabLayout, SlabPool } from "./slab-pool.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;
const smallSlabBytes = 64 * kibibyte;
/** Largest body that is received in one piece; it fits a large slab of any size. */
export const largestWholeBytes = mebibyte;
/** Small slabs in a quarter of the memory at most, and no more than requests can be open. */
const mostSmallSlabs = 256;
/** From here on large slabs have 2 MiB: 4 × 512 MiB take 8 % less CPU then. With less memory, more connections do more. */
const ampleBytes = 48 * mebibyte;

/** How the bytes of buffers are divided: small slabs, and what is left for large ones. */
function layoutOf(bytes: number): { readonly small: SlabLayout; readonly large: SlabLayout } {
  const small = Math.max(1, Math.min(mostSmallSlabs, Math.floor(bytes / 4 / smallSlabBytes)));
  const slabBytes = largeSlabBytesOf(bytes);
  return {
    small: { slabBytes: smallSlabBytes, count: small },
    large: { slabBytes, count: Math.max(2, Math.floor((bytes - small * smallSlabBytes) / slabBytes)) },
  };
}

function largeSlabBytesOf(bytes: number): number {
  return bytes < ampleBytes ? mebibyte : 2 * mebibyte;
}

/** What a body is received into: a small slab, half a large one, a whole one, or two to fill and write in turn. */
function slabsFor(bodyBytes: number, largeSlabBytes: number): SlabLayout {
  if (bodyBytes <= smallSlabBytes) return { slabBytes: smallSlabBytes, count: 1 };
  if (bodyBytes <= largeSlabBytes / 2) return { slabBytes: largeSlabBytes / 2, count: 1 };
  return { slabBytes: largeSlabBytes, count: bodyBytes <= largeSlabBytes ? 1 : 2 };
}

function bytesOf({ slabBytes, count }: SlabLayout): number {
  return slabBytes * count;
}

/** Buffer bytes that `Slabs.lease` takes for a body, of a thread that has `bytes`. */
export function leaseBytes(bodyBytes: number, bytes: number): number {
  return bytesOf(slabsFor(bodyBytes, largeSlabBytesOf(bytes)));
}

/** The pools that `bytes` make: what one request may take of each at most, and how much there is. */
export function slabPools(bytes: number): { readonly largestBytes: number; readonly bytes: number }[] {
  const { small, large } = layoutOf(bytes);
  return [
    { largestBytes: small.slabBytes, bytes: bytesOf(small) },
    { largestBytes: 2 * large.slabBytes, bytes: bytesOf(large) },
  ];
}

/** The buffers of one data thread and the checksum kernel that works on them where they lie. */
export class Slabs {
  readonly kernel: Crc64Kernel;
  readonly #small: SlabPool;
  readonly #large: SlabPool;

  /** `bytes` at least 4 MiB. */
  constructor(bytes: number) {
    const { small, large } = layoutOf(bytes);
    this.kernel = createCrc64Kernel(bytesOf(small) + bytesOf(large));
    const { memory } = this.kernel;
    this.#small = new SlabPool(memory, kernelBytes, small);
    this.#large = new SlabPool(memory, kernelBytes + bytesOf(small), large);
  }

  get usedBytes(): number {
    return this.#small.usedBytes + this.#large.usedBytes;
  }

  /** One slab that holds the whole body, or two to fill and write in turn. */
  async lease(bodyBytes: number): Promise<SlabLease> {
    const pool = this.#poolOf(bodyBytes);
    return new SlabLease(pool, await pool.lease(this.#slabsFor(bodyBytes)));
  }

  /** The same where there is nothing to wait for. */
  tryLease(bodyBytes: number): SlabLease | undefined {
    const pool = this.#poolOf(bodyBytes);
    const slabs = pool.tryLease(this.#slabsFor(bodyBytes));
    return slabs && new SlabLease(pool, slabs);
  }

  /** Buffer bytes that a lease takes. */
  cost(bodyBytes: number): number {
    return bytesOf(this.#slabsFor(bodyBytes));
  }

  #poolOf(bodyBytes: number): SlabPool {
    return bodyBytes <= smallSlabBytes ? this.#small : this.#large;
  }

  #slabsFor(bodyBytes: number): SlabLayout {
    return slabsFor(bodyBytes, this.#large.slabBytes);
  }
}

/** Slabs given back on disposal. */
export class SlabLease implements Disposable {
  readonly slabs: readonly Slab[];
  readonly #pool: SlabPool;

  constructor(pool: SlabPool, slabs: readonly Slab[]) {
    this.#pool = pool;
    this.slabs = slabs;
  }

  [Symbol.dispose](): void {
    this.#pool.release(this.slabs);
  }
}
