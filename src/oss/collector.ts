/** Keeps a small body in memory. */

const firstBytes = 16 * 1024;

/** Grows with what arrives, never beyond `limitBytes`. */
export class Collector {
  readonly #limitBytes: number;
  #memory: Uint8Array = new Uint8Array(0);
  #used = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Makes room at once for as many bytes as are announced. */
  expect(bytes: number): void {
    this.#grow(bytes);
  }

  /** Memory for the next bytes. */
  buffer(): Uint8Array {
    if (this.#used === this.#memory.length) this.#grow(Math.max(firstBytes, 2 * this.#memory.length));
    return this.#memory.subarray(this.#used);
  }

  /** Whether the body is still within the limit; after a false nothing more is taken. */
  filled(bytes: number): boolean {
    this.#used += bytes;
    return this.#used <= this.#limitBytes;
  }

  bytes(): Uint8Array {
    return this.#memory.subarray(0, this.#used);
  }

  #grow(bytes: number): void {
    // One byte more than the limit, so that a body of just that size is told from a longer one.
    const grown = Buffer.allocUnsafeSlow(Math.min(bytes, this.#limitBytes + 1));
    grown.set(this.#memory.subarray(0, this.#used));
    this.#memory = grown;
  }
}
