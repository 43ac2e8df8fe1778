import { lstat, open } from "node:fs/promises";
import { join } from "node:path";
import type { Bucket } from "../../emulator/object-store.ts";
import type { StoredObject } from "../../emulator/stored-object.ts";
import { readTree } from "./tree.ts";

/** Every version that the objects of a bucket have had since it was made: what a target may hold after a change. */
export class History {
  readonly #prefix: string;
  readonly #versions = new Map<string, StoredObject[]>();
  readonly #deleted = new Set<string>();

  /** Follows `bucket` from now on. */
  constructor(bucket: Bucket, prefix: string) {
    this.#prefix = prefix;
    for (const key of bucket.keys(prefix)) this.#note(key, bucket.get(key));
    const replace = bucket.replace.bind(bucket);
    bucket.replace = (key, sizeBytes) => this.#note(key, replace(key, sizeBytes));
    const remove = bucket.delete.bind(bucket);
    bucket.delete = (key) => {
      this.#deleted.add(key);
      return remove(key);
    };
    const put = bucket.put.bind(bucket);
    bucket.put = (key, ...rest) => {
      const object = put(key, ...rest);
      if (!this.#versions.has(key)) this.#deleted.add(key); // it was not always there
      this.#note(key, object);
      return object;
    };
  }

  /** All that keeps `root` from being what a run that ended with 0 makes of the bucket. */
  async faultsOf(root: string): Promise<string[]> {
    return [...(await this.missingFiles(root)), ...(await this.wrongFiles(root)), ...(await this.leftovers(root))];
  }

  /** What is left at `root` of a run's own state and unfinished files. */
  async leftovers(root: string): Promise<string[]> {
    return [...(await readTree(root)).keys()].filter(isOurs);
  }

  /** What is wrong with the finished files at `root`: no version of their object, torn, of another time, or of no object at all. */
  async wrongFiles(root: string): Promise<string[]> {
    const wrong: string[] = [];
    for (const [path, { kind }] of await readTree(root)) {
      if (kind === "directory" || isOurs(path) || path.startsWith("lost+found")) continue;
      if (kind !== "file") wrong.push(`${path} is a ${kind}`);
      else if (!(await this.#isVersion(root, path))) wrong.push(`${path} is no version of its object`);
    }
    return wrong;
  }

  /** What is missing at `root` of the objects that were there all the time. */
  async missingFiles(root: string): Promise<string[]> {
    const missing: string[] = [];
    for (const key of this.#versions.keys()) {
      const path = key.slice(this.#prefix.length).replace(/\/$/, "");
      if (path === "" || this.#deleted.has(key)) continue;
      if ((await lstat(join(root, path)).catch(() => undefined)) === undefined) missing.push(`${path} is missing`);
    }
    return missing;
  }

  async #isVersion(root: string, path: string): Promise<boolean> {
    await using file = await open(join(root, path));
    const { size, mtimeMs } = await file.stat();
    const bytes = await file.readFile();
    return (this.#versions.get(this.#prefix + path) ?? []).some(({ content, sizeBytes, lastModifiedMs }) => {
      if (sizeBytes !== size || lastModifiedMs !== Math.round(mtimeMs)) return false;
      return Buffer.concat([...content.slices(0, sizeBytes)]).equals(bytes);
    });
  }

  #note(key: string, object: StoredObject | undefined): StoredObject | undefined {
    if (object === undefined || !key.startsWith(this.#prefix)) return object;
    this.#versions.set(key, [...(this.#versions.get(key) ?? []), object]);
    return object;
  }
}

/** Hidden names that no key can have. */
function isOurs(path: string): boolean {
  return path.split("/").some((segment) => segment.startsWith(".oss-populator"));
}
