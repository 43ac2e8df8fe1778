import { type Content, MemoryContent } from "./content.ts";
import { GeneratedSet, type GenerateOptions } from "./generated-set.ts";
import { compareKeys } from "./keys.ts";
import { type ObjectOptions, replacementOf, StoredObject } from "./stored-object.ts";

/** What a listing walks: positions in ascending order of keys. */
interface Source {
  readonly count: number;
  keyAt(position: number): string;
  lowerBound(key: string): number;
  at(position: number): StoredObject;
}

/** One bucket: objects put one by one, over any number of generated sets. */
export class Bucket {
  readonly name: string;
  /** Whether requests without a signature may read. */
  publicRead: boolean;
  readonly #objects = new Map<string, StoredObject>();
  readonly #generated: GeneratedSet[] = [];
  /** Keys of generated sets that were deleted. */
  readonly #deleted = new Set<string>();
  #sorted: string[] | undefined = [];
  #generation = 0;

  constructor(name: string, publicRead: boolean) {
    this.name = name;
    this.publicRead = publicRead;
  }

  put(key: string, content: Content, options: ObjectOptions = {}): StoredObject {
    const object = new StoredObject(key, content, options);
    this.#store(object);
    return object;
  }

  generate(options: GenerateOptions): GeneratedSet {
    const set = new GeneratedSet(options);
    this.#generated.push(set);
    return set;
  }

  get(key: string): StoredObject | undefined {
    const own = this.#objects.get(key);
    if (own !== undefined || this.#deleted.has(key)) return own;
    for (const set of this.#generated) {
      const object = set.get(key);
      if (object !== undefined) return object;
    }
    return undefined;
  }

  /** Whether there was such an object. */
  delete(key: string): boolean {
    const existed = this.get(key) !== undefined;
    if (this.#objects.delete(key)) this.#sorted = undefined;
    if (existed) this.#deleted.add(key);
    return existed;
  }

  /** Gives `key` another version with other content and ETag; undefined if there is no such object. */
  replace(key: string, sizeBytes?: number): StoredObject | undefined {
    const current = this.get(key);
    if (current === undefined) return undefined;
    this.#generation += 1;
    const next = replacementOf(current, this.#generation, sizeBytes);
    this.#store(next);
    return next;
  }

  /** Stands on the first object whose key is not below `key`, and walks up in byte order. */
  cursor(key: string): Cursor {
    return new Cursor([this.#explicit(), ...this.#generated], key, this.#deleted);
  }

  /** All keys that begin with `prefix`, in byte order. */
  *keys(prefix = ""): Iterable<string> {
    const cursor = this.cursor(prefix);
    for (let key = cursor.key(); key?.startsWith(prefix) === true; key = cursor.key()) {
      yield key;
      cursor.next();
    }
  }

  #store(object: StoredObject): void {
    if (!this.#objects.has(object.key)) this.#sorted = undefined;
    this.#objects.set(object.key, object);
    this.#deleted.delete(object.key);
  }

  #explicit(): Source {
    this.#sorted ??= [...this.#objects.keys()].sort(compareKeys);
    const keys = this.#sorted;
    return {
      count: keys.length,
      keyAt: (position) => keys[position] ?? "",
      lowerBound: (key) => lowerBound(keys, key),
      at: (position) => {
        const key = keys[position] ?? "";
        return this.#objects.get(key) ?? new StoredObject(key, new MemoryContent(Buffer.alloc(0)));
      },
    };
  }
}

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keys[middle] ?? "", key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Merges sorted sources; of equal keys the first source's object is seen. */
export class Cursor {
  readonly #sources: readonly Source[];
  readonly #positions: number[];
  /** The key under each source's position; undefined at its end. */
  readonly #keys: (string | undefined)[] = [];
  readonly #deleted: ReadonlySet<string>;
  #best = -1;

  constructor(sources: readonly Source[], key: string, deleted: ReadonlySet<string>) {
    this.#sources = sources;
    this.#positions = sources.map((source) => source.lowerBound(key));
    this.#deleted = deleted;
    for (let index = 0; index < sources.length; index++) this.#load(index);
    this.#settle();
  }

  /** The key under the cursor; undefined at the end. */
  key(): string | undefined {
    return this.#keys[this.#best];
  }

  object(): StoredObject | undefined {
    return this.#sources[this.#best]?.at(this.#positions[this.#best] ?? 0);
  }

  next(): void {
    this.#step();
    this.#settle();
  }

  /** Moves forward to the first key that is not below `key`. */
  seek(key: string): void {
    this.#sources.forEach((source, index) => {
      this.#positions[index] = Math.max(this.#positions[index] ?? 0, source.lowerBound(key));
      this.#load(index);
    });
    this.#settle();
  }

  #load(index: number): void {
    const position = this.#positions[index] ?? 0;
    const source = this.#sources[index];
    this.#keys[index] = source !== undefined && position < source.count ? source.keyAt(position) : undefined;
  }

  #step(): void {
    const key = this.key();
    if (key === undefined) return;
    for (let index = 0; index < this.#keys.length; index++) {
      if (this.#keys[index] !== key) continue;
      this.#positions[index] = (this.#positions[index] ?? 0) + 1;
      this.#load(index);
    }
  }

  #settle(): void {
    for (;;) {
      this.#choose();
      const key = this.key();
      if (key === undefined || !this.#deleted.has(key)) return;
      this.#step();
    }
  }

  #choose(): void {
    let best = -1;
    let bestKey = "";
    for (let index = 0; index < this.#keys.length; index++) {
      const key = this.#keys[index];
      if (key === undefined || (best >= 0 && compareKeys(key, bestKey) >= 0)) continue;
      best = index;
      bestKey = key;
    }
    this.#best = best;
  }
}

/** All buckets of an emulator. */
export class ObjectStore {
  readonly #buckets = new Map<string, Bucket>();

  /** The bucket of that name, made if there is none. */
  ensure(name: string, publicRead = false): Bucket {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new Bucket(name, publicRead);
      this.#buckets.set(name, bucket);
    }
    return bucket;
  }

  get(name: string): Bucket | undefined {
    return this.#buckets.get(name);
  }

  delete(name: string): boolean {
    return this.#buckets.delete(name);
  }
}
