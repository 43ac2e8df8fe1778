import { GeneratedContent } from "./content.ts";
import type { Bucket } from "./object-store.ts";
import { BASE_TIME_MS, type ObjectOptions, opaqueEtag } from "./stored-object.ts";

const MIB = 1_048_576;

export interface DemoOptions {
  /** Before every key; ends with a slash. Default `dataset/`. */
  readonly prefix?: string;
  /** Objects of 1 to 64 KiB (5,000). */
  readonly smallCount?: number;
  /** Sizes of the large objects (300, 64 and 32 MiB). */
  readonly largeBytes?: readonly number[];
}

/** What the demo set holds. */
export interface DemoSummary {
  readonly prefix: string;
  readonly objects: number;
  readonly bytes: number;
}

const SEED = 7;

/** Keys that a careless copier gets wrong, below the prefix. */
export const demoNames: readonly string[] = [
  "empty.bin",
  "names/with space.txt",
  "names/100%25 sure.txt",
  "names/percent%.txt",
  "names/a+b=c&d.txt",
  'names/it\'s "quoted" <&>.txt',
  "names/中文/数据集 说明.txt",
  "names/emoji 🚀/🎉.bin",
  "names/ＦＵＬＬ.txt",
  "names/.hidden",
  "nested/one/two/three/four/five/deep.bin",
];

/** An empty directory, as consoles make them. */
export const DEMO_MARKER = "nested/empty-directory/";

/**
 * Fills a bucket with the demo's data set; the same options give the same keys and bytes in every process, so a checker
 * may fill a `Bucket` of its own and compare.
 */
export function addDemoSet(bucket: Bucket, options: DemoOptions = {}): DemoSummary {
  const { prefix = "dataset/", smallCount = 5000, largeBytes = [300 * MIB, 64 * MIB, 32 * MIB] } = options;
  const put = (name: string, sizeBytes: number, more: ObjectOptions = {}) => {
    const key = prefix + name;
    const content = new GeneratedContent({ seed: SEED, key, sizeBytes });
    bucket.put(key, content, { lastModifiedMs: BASE_TIME_MS, ...more });
  };
  bucket.generate({
    prefix: `${prefix}small/`,
    count: smallCount,
    sizeBytes: { min: 1024, max: 65_536 },
    perDirectory: 250,
    suffix: ".bin",
    seed: SEED,
  });
  demoNames.forEach((name, index) => {
    put(name, index * 1000);
  });
  put(DEMO_MARKER, 0, { contentType: "application/x-directory" });
  largeBytes.forEach((sizeBytes, index) => {
    const name = `large/shard-${String(index + 1).padStart(5, "0")}.bin`;
    put(name, sizeBytes, { type: "Multipart", etag: opaqueEtag(prefix + name, sizeBytes, SEED) });
  });
  let objects = 0;
  let bytes = 0;
  for (const key of bucket.keys(prefix)) {
    objects += 1;
    bytes += bucket.get(key)?.sizeBytes ?? 0;
  }
  return { prefix, objects, bytes };
}
