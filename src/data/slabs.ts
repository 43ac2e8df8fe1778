import { type Crc64Kernel, createCrc64Kernel, kernelBytes } from "../checksum/crc64.ts";
import { type Slab, SlabPool } from "./slab-pool.ts";

const smallSlabBytes = 64 * 1024;
const largeSlabBytes = 1024 * 1024;
/** Largest body that is received in one piece. */
export const largestWholeBytes = largeSlabBytes;
/** Small slabs in a quarter of the memory at most, and no more than requests can be open. */
const mostSmallSlabs = 256;

/** How the bytes of buffers are divided: small slabs, and what is left for large ones. */
function slabCounts(bytes: number): { readonly small: number; readonly large: number } {
  const small = Math.max(1, Math.min(mostSmallSlabs, Math.floor(bytes / 4 / smallSlabBytes)));
  return { small, large: Math.max(2, Math.floor((bytes - small * smallSlabBytes) / largeSlabBytes)) };
}

/** The pools that `bytes` make: what one request may take of each at most, and how much there is. */
export function slabPools(bytes: number): { readonly largestBytes: number; readonly bytes: number }[] {
  const { small, large } = slabCounts(bytes);
  return [
    { largestBytes: smallSlabBytes, bytes: small * smallSlabBytes },
    { largestBytes: 2 * largeSlabBytes, bytes: large * largeSlabBytes },
  ];
}

/** The buffers of one data thread and the checksum kernel that works on them where they lie. */
export class Slabs {
  readonly kernel: Crc64Kernel;
  readonly #small: SlabPool;
  readonly #large: SlabPool;

  /** `bytes` at least 4 MiB. */
  constructor(bytes: number) {
    const { small, large } = slabCounts(bytes);
    this.kernel = createCrc64Kernel(small * smallSlabBytes + large * largeSlabBytes);
    const { memory } = this.kernel;
    const largeStart = kernelBytes + small * smallSlabBytes;
    this.#small = new SlabPool(memory, kernelBytes, { slabBytes: smallSlabBytes, count: small });
    this.#large = new SlabPool(memory, largeStart, { slabBytes: largeSlabBytes, count: large });
  }

  get usedBytes(): number {
    return this.#small.usedBytes + this.#large.usedBytes;
  }

  /** One slab that holds the whole body, or two to fill and write in turn. */
  async lease(bodyBytes: number): Promise<SlabLease> {
    const pool = this.#poolOf(bodyBytes);
    return new SlabLease(pool, await pool.lease(slabsFor(bodyBytes)));
  }

  /** The same where there is nothing to wait for. */
  tryLease(bodyBytes: number): SlabLease | undefined {
    const pool = this.#poolOf(bodyBytes);
    const slabs = pool.tryLease(slabsFor(bodyBytes));
    return slabs && new SlabLease(pool, slabs);
  }

  #poolOf(bodyBytes: number): SlabPool {
    return bodyBytes <= smallSlabBytes ? this.#small : this.#large;
  }
}

function slabsFor(bodyBytes: number): number {
  return bodyBytes > largeSlabBytes ? 2 : 1;
}

/** Buffer bytes that `Slabs.lease` takes for a body. */
export function leaseBytes(bodyBytes: number): number {
  if (bodyBytes <= smallSlabBytes) return smallSlabBytes;
  return bodyBytes <= largeSlabBytes ? largeSlabBytes : 2 * largeSlabBytes;
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
