import { GeneratedContent, hashText, mix } from "./content.ts";
import { compareKeys } from "./keys.ts";
import { BASE_TIME_MS, type ObjectOptions, opaqueEtag, StoredObject } from "./stored-object.ts";

/** Any number of objects described by a rule. Keys are `prefix`, directories, a zero-padded number and `suffix`. */
export interface GenerateOptions {
  readonly prefix?: string;
  readonly count: number;
  /** One size, or sizes spread evenly between two (inclusive). */
  readonly sizeBytes: number | { readonly min: number; readonly max: number };
  readonly seed?: number;
  readonly suffix?: string;
  /** Objects per directory; without it all lie directly under the prefix. */
  readonly perDirectory?: number;
  /** Levels of such directories, 1 unless given. */
  readonly depth?: number;
  /** Names instead of the rule; all keys are then held in memory, so at most a million. */
  readonly nameOf?: (index: number) => string;
  /** Normal objects whose ETag is the MD5 (reads every byte); otherwise Multipart with an opaque ETag. */
  readonly md5?: boolean;
  readonly object?: ObjectOptions;
}

const NAMED_LIMIT = 1_000_000;
const RECENT_LIMIT = 4096;

/** Objects in ascending order of their keys, made when asked for. */
export class GeneratedSet {
  readonly count: number;
  readonly #options: GenerateOptions;
  readonly #prefix: string;
  readonly #suffix: string;
  readonly #seed: number;
  readonly #digits: number;
  readonly #directoryDigits: readonly number[];
  readonly #recent = new Map<string, StoredObject>();
  readonly #names: { readonly key: string; readonly index: number }[] | undefined;

  constructor(options: GenerateOptions) {
    if (!Number.isSafeInteger(options.count) || options.count < 0) throw new RangeError("count must be 0 or more");
    this.#options = options;
    this.count = options.count;
    this.#prefix = options.prefix ?? "";
    this.#suffix = options.suffix ?? "";
    this.#seed = options.seed ?? 1;
    this.#digits = digitsFor(options.count);
    this.#directoryDigits = directoryDigits(options);
    this.#names = options.nameOf === undefined ? undefined : sortedNames(options.nameOf, options.count);
  }

  /** The key at `position` in ascending order. */
  keyAt(position: number): string {
    if (this.#names !== undefined) return this.#names[position]?.key ?? "";
    const perDirectory = this.#options.perDirectory ?? 1;
    let directories = "";
    let number = position;
    for (const digits of this.#directoryDigits.toReversed()) {
      number = Math.floor(number / perDirectory);
      directories = `${String(number).padStart(digits, "0")}/${directories}`;
    }
    return `${this.#prefix}${directories}${String(position).padStart(this.#digits, "0")}${this.#suffix}`;
  }

  /** The position of the first key that is not below `key`; `count` if there is none. */
  lowerBound(key: string): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (compareKeys(this.keyAt(middle), key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Keeps recent answers, because the CRC of a large object is worth keeping. */
  get(key: string): StoredObject | undefined {
    const known = this.#recent.get(key);
    if (known !== undefined) return known;
    const position = this.#positionOf(key);
    if (position === undefined) return undefined;
    const object = this.at(position);
    if (this.#recent.size >= RECENT_LIMIT) this.#recent.clear();
    this.#recent.set(key, object);
    return object;
  }

  /** The object at `position` in ascending order of keys. */
  at(position: number): StoredObject {
    const key = this.keyAt(position);
    const index = this.#names?.[position]?.index ?? position;
    const sizeBytes = this.#sizeOf(index);
    const content = new GeneratedContent({ seed: this.#seed, key, sizeBytes });
    const normal = this.#options.md5 === true;
    return new StoredObject(key, content, {
      type: normal ? "Normal" : "Multipart",
      ...(normal ? {} : { etag: opaqueEtag(key, sizeBytes, this.#seed) }),
      lastModifiedMs: BASE_TIME_MS + (index % 10_000_000) * 1000,
      ...this.#options.object,
    });
  }

  #positionOf(key: string): number | undefined {
    if (!key.startsWith(this.#prefix)) return undefined;
    if (this.#names !== undefined) {
      const position = this.lowerBound(key);
      return position < this.count && this.keyAt(position) === key ? position : undefined;
    }
    const end = key.length - this.#suffix.length;
    const position = Number(key.slice(end - this.#digits, end));
    if (!Number.isSafeInteger(position) || position < 0 || position >= this.count) return undefined;
    return this.keyAt(position) === key ? position : undefined;
  }

  #sizeOf(index: number): number {
    const size = this.#options.sizeBytes;
    if (typeof size === "number") return size;
    const span = size.max - size.min + 1;
    const high = hashText(String(index), this.#seed);
    return size.min + ((high * 2 ** 20 + (mix(high ^ index) % 2 ** 20)) % span);
  }
}

function digitsFor(count: number): number {
  return Math.max(4, String(Math.max(0, count - 1)).length);
}

/** Digits of each directory level, outermost first. */
function directoryDigits(options: GenerateOptions): number[] {
  const { perDirectory, depth = 1, count } = options;
  if (perDirectory === undefined) return [];
  const digits: number[] = [];
  let number = count;
  for (let level = 0; level < depth; level++) {
    number = Math.ceil(number / perDirectory);
    digits.unshift(Math.max(2, String(Math.max(0, number - 1)).length));
  }
  return digits;
}

function sortedNames(nameOf: (index: number) => string, count: number): { key: string; index: number }[] {
  if (count > NAMED_LIMIT) throw new RangeError(`nameOf holds its keys in memory: at most ${NAMED_LIMIT} objects`);
  const names = Array.from({ length: count }, (_, index) => ({ key: nameOf(index), index }));
  return names.sort((a, b) => compareKeys(a.key, b.key));
}
