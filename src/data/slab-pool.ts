/** Part of the kernel's memory: received into, checksummed and written from in place. */
export interface Slab {
  /** Position in the kernel's memory, a multiple of 4 KiB, as direct writes need it. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface SlabLayout {
  /** Of a pool a multiple of 8 KiB; of a lease that, or half of it. */
  readonly slabBytes: number;
  readonly count: number;
}

interface Waiter {
  readonly wanted: SlabLayout;
  readonly resolve: (slabs: Slab[]) => void;
}

/**
 * Slabs of one size, and halves of them; served first come first served, and several at once or none, so that nobody waits
 * with some of them in hand.
 */
export class SlabPool {
  readonly slabBytes: number;
  readonly #memory: WebAssembly.Memory;
  readonly #start: number;
  readonly #count: number;
  readonly #free: Slab[];
  readonly #freeHalves: Slab[] = [];
  readonly #waiting: Waiter[] = [];

  constructor(memory: WebAssembly.Memory, start: number, { slabBytes, count }: SlabLayout) {
    this.slabBytes = slabBytes;
    this.#memory = memory;
    this.#start = start;
    this.#count = count;
    this.#free = Array.from({ length: count }, (_, i) => this.#slab(start + i * slabBytes, slabBytes));
  }

  get usedBytes(): number {
    return (this.#count - this.#free.length - this.#freeHalves.length / 2) * this.slabBytes;
  }

  /** Throws RangeError when there are not so many. */
  async lease(wanted: SlabLayout): Promise<Slab[]> {
    const most = Math.floor((this.#count * this.slabBytes) / wanted.slabBytes);
    if (wanted.count > most) throw new RangeError(`${wanted.count} slabs of ${most} are asked for`);
    return this.tryLease(wanted) ?? new Promise((resolve) => this.#waiting.push({ wanted, resolve }));
  }

  /** Undefined when there are not so many now, or others wait for some. */
  tryLease(wanted: SlabLayout): Slab[] | undefined {
    return this.#waiting.length > 0 ? undefined : this.#take(wanted);
  }

  release(slabs: readonly Slab[]): void {
    for (const slab of slabs) {
      if (slab.bytes.length === this.slabBytes) this.#free.push(slab);
      else this.#releaseHalf(slab);
    }
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const taken = this.#take(first.wanted);
      if (!taken) break;
      this.#waiting.shift();
      first.resolve(taken);
    }
  }

  #take({ count, slabBytes }: SlabLayout): Slab[] | undefined {
    if (slabBytes === this.slabBytes) return this.#free.length < count ? undefined : this.#free.splice(-count);
    if (this.#freeHalves.length + 2 * this.#free.length < count) return undefined;
    while (this.#freeHalves.length < count) this.#split();
    return this.#freeHalves.splice(-count);
  }

  #split(): void {
    const slab = this.#free.pop();
    if (!slab) return;
    const halfBytes = this.slabBytes / 2;
    this.#freeHalves.push(this.#slab(slab.offset, halfBytes), this.#slab(slab.offset + halfBytes, halfBytes));
  }

  /** Two free halves of one slab become a slab again. */
  #releaseHalf(half: Slab): void {
    const isSecond = (half.offset - this.#start) % this.slabBytes !== 0;
    const first = isSecond ? half.offset - half.bytes.length : half.offset;
    const other = isSecond ? first : half.offset + half.bytes.length;
    const at = this.#freeHalves.findIndex(({ offset }) => offset === other);
    if (at < 0) {
      this.#freeHalves.push(half);
      return;
    }
    this.#freeHalves.splice(at, 1);
    this.#free.push(this.#slab(first, this.slabBytes));
  }

  #slab(offset: number, bytes: number): Slab {
    return { offset, bytes: new Uint8Array(this.#memory.buffer, offset, bytes) };
  }
}
