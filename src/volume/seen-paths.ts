const bits = 2 ** 27;
const hashes = 4;

/**
 * Bloom filter of fixed 16 MiB: a path that it does not know was never added; one that it knows probably was (10 million
 * paths: 0.5 % errors).
 */
export class SeenPaths {
  readonly #words = new Uint32Array(bits / 32);

  add(path: string): void {
    for (const bit of positions(path)) {
      const word = bit >>> 5;
      this.#words[word] = (this.#words[word] ?? 0) | (1 << (bit & 31));
    }
  }

  mayHave(path: string): boolean {
    return positions(path).every((bit) => ((this.#words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0);
  }
}

/** FNV-1a from two bases; further hashes are their combinations (Kirsch and Mitzenmacher). */
function positions(path: string): number[] {
  let first = 0x811c9dc5;
  let second = 0x01000193;
  for (let i = 0; i < path.length; i++) {
    first = Math.imul(first ^ path.charCodeAt(i), 0x01000193);
    second = Math.imul(second ^ path.charCodeAt(i), 0x5bd1e995);
    second ^= second >>> 15;
  }
  return Array.from({ length: hashes }, (_, i) => ((first + Math.imul(i, second | 1)) >>> 0) % bits);
}
