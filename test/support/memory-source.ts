import { CopyError } from "../../src/errors.ts";
import type { ListPosition, ObjectEntry, ObjectSource, Refusal } from "../../src/types.ts";
import type { MemoryBucket } from "./memory-bucket.ts";

/** The control plane of a memory bucket; pages are short, and may be empty, as the service's may. */
export class MemorySource implements ObjectSource {
  readonly #bucket: MemoryBucket;
  readonly #pageKeys: () => number;
  refreshes = 0;
  readsArchive = false;

  /** `pageKeys` is asked for the length of each page; 0 makes an empty one that is not the last. */
  constructor(bucket: MemoryBucket, pageKeys: () => number = () => 1000) {
    this.#bucket = bucket;
    this.#pageKeys = pageKeys;
  }

  listPage(position: ListPosition, signal: AbortSignal): ReturnType<ObjectSource["listPage"]> {
    const { prefix, maxKeys = 1000 } = position;
    return this.#bucket.request(
      { operation: "list", key: prefix, start: 0 },
      () => {
        const [after = "", serial = "0"] = decode(position);
        const rest = this.#bucket.entries(prefix).filter(({ key }) => isAfter(key, after));
        const entries = rest.slice(0, Math.min(maxKeys, this.#pageKeys()));
        const last = entries.at(-1)?.key ?? after;
        const continuationToken = JSON.stringify([last, String(Number(serial) + 1)]);
        const next = entries.length < rest.length ? { ...position, continuationToken } : undefined;
        return { entries, receivedBytes: 100 + 300 * entries.length, next };
      },
      signal,
    );
  }

  head(key: string, signal: AbortSignal): ReturnType<ObjectSource["head"]> {
    return this.#bucket.request(
      { operation: "head", key, start: 0 },
      () => {
        const { type, storageClass, modifiedMs } = this.#bucket.stored(key);
        return { ...this.#bucket.head(key), modifiedMs, type, storageClass, restored: false };
      },
      signal,
    );
  }

  /** An archived object can be read when `readsArchive` says so. */
  probe({ key, storageClass }: ObjectEntry, signal: AbortSignal): Promise<void> {
    return this.#bucket.request(
      { operation: "get", key, start: 0 },
      () => {
        this.#bucket.stored(key);
        if (storageClass !== "Archive" || this.readsArchive) return;
        throw new CopyError("unsupported", `object ${key} is archived`);
      },
      signal,
    );
  }

  async refresh(_refusal: Refusal, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.refreshes++;
  }
}

function decode({ startAfter, continuationToken }: ListPosition): string[] {
  // Tokens are those that `listPage` made.
  return continuationToken === undefined ? [startAfter ?? ""] : (JSON.parse(continuationToken) as string[]);
}

function isAfter(key: string, after: string): boolean {
  return after === "" || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0;
}
