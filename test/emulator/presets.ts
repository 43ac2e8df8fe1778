import type { Emulator } from "./server.ts";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/** So many objects of one size, or of sizes between two. */
export interface Batch {
  readonly count: number;
  readonly sizeBytes: number | { readonly min: number; readonly max: number };
}

/** Reads `16KiB`, `1GB`, `4096`; throws a TypeError. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toUpperCase() ?? ""];
  const bytes = Number(match?.[1]) * (unit ?? Number.NaN);
  if (!Number.isSafeInteger(bytes)) throw new TypeError(`not a size: ${text}`);
  return bytes;
}

/** Reads `COUNTxSIZE` or `COUNTxMIN-MAX`: `10000x16KiB`, `500x1KiB-64KiB`; throws a TypeError. */
export function parseBatch(text: string): Batch {
  const match = /^(\d+)x([^-]+)(?:-(.+))?$/.exec(text);
  if (match === null) throw new TypeError(`not COUNTxSIZE: ${text}`);
  const [, count, first = "", last] = match;
  const min = parseSize(first);
  return { count: Number(count), sizeBytes: last === undefined ? min : { min, max: parseSize(last) } };
}

/** Objects that flags ask for. */
export interface PresetOptions {
  readonly bucket: string;
  /** Before `small/`, `large/` and `keys/`. */
  readonly prefix: string;
  readonly small: readonly Batch[];
  readonly large: readonly Batch[];
  /** Number of objects of 1 KiB in directories of a thousand, for listings. */
  readonly keys: number;
  readonly seed: number;
  /** Real MD5 ETags for small objects. */
  readonly md5: boolean;
}

/** Generates the objects; a second batch of a kind lies in `small-2/` and so on. The number of them. */
export function addPresets(emulator: Emulator, options: PresetOptions): number {
  const { bucket, prefix, seed, md5 } = options;
  let count = 0;
  const add = (name: string, index: number, batch: Batch, perDirectory?: number) => {
    const directory = index === 0 ? name : `${name}-${index + 1}`;
    emulator.generate({
      bucket,
      prefix: `${prefix}${directory}/`,
      suffix: ".bin",
      seed: seed + index,
      md5: md5 && name === "small",
      ...batch,
      ...(perDirectory === undefined ? {} : { perDirectory }),
    });
    count += batch.count;
  };
  options.small.forEach((batch, index) => {
    add("small", index, batch, 1000);
  });
  options.large.forEach((batch, index) => {
    add("large", index, batch);
  });
  if (options.keys > 0) add("keys", 0, { count: options.keys, sizeBytes: 1024 }, 1000);
  return count;
}
