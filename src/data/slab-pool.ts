/** Part of the kernel's memory: received into, checksummed and written from in place. */
export interface Slab {
  /** Position in the kernel's memory, a multiple of 4 KiB, as direct writes need it. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface SlabLayout {
  readonly slabBytes: number;
  readonly count: number;
}

interface Waiter {
  readonly count: number;
  readonly resolve: (slabs: Slab[]) => void;
}

/** Slabs of one size; served first come first served, and several at once or none, so that nobody waits for half. */
export class SlabPool {
  readonly slabBytes: number;
  readonly #free: Slab[];
  readonly #count: number;
  readonly #waiting: Waiter[] = [];

  constructor(memory: WebAssembly.Memory, start: number, { slabBytes, count }: SlabLayout) {
    this.slabBytes = slabBytes;
    this.#count = count;
    this.#free = Array.from({ length: count }, (_, i) => {
      const offset = start + i * slabBytes;
      return { offset, bytes: new Uint8Array(memory.buffer, offset, slabBytes) };
    });
  }

  get usedBytes(): number {
    return (this.#count - this.#free.length) * this.slabBytes;
  }

  /** Throws RangeError when there are not so many. */
  async lease(count: number): Promise<Slab[]> {
    if (count > this.#count) throw new RangeError(`${count} slabs of ${this.#count} are asked for`);
    return this.tryLease(count) ?? new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  /** Undefined when there are not so many now, or others wait for some. */
  tryLease(count: number): Slab[] | undefined {
    if (this.#waiting.length > 0 || this.#free.length < count) return undefined;
    return this.#free.splice(-count);
  }

  release(slabs: readonly Slab[]): void {
    this.#free.push(...slabs);
    for (let first = this.#waiting[0]; first && first.count <= this.#free.length; first = this.#waiting[0]) {
      this.#waiting.shift();
      first.resolve(this.#free.splice(-first.count));
    }
  }
}
