import pLimit from "p-limit";
import type { ListPage, ObjectEntry, ObjectSource } from "../types.ts";
import type { Ledger } from "./ledger.ts";
import { LinkedAbort } from "./linked-abort.ts";
import type { Requests } from "./requests.ts";
import { isObjectsOwn } from "./retry.ts";

const pageKeys = 1000;

export interface KeyListParts {
  readonly source: ObjectSource;
  readonly requests: Requests;
  readonly ledger: Ledger;
  /** HEAD requests at once. */
  readonly concurrency: number;
  /** Whether a key is this process's; the others are not looked up. */
  readonly share: (key: string) => boolean;
}

/** Pages made from a list of keys below `prefix` instead of a listing: one HEAD per key of this process. */
export async function* pagesOfKeys(
  keys: AsyncIterable<string>,
  prefix: string,
  parts: KeyListParts,
  signal: AbortSignal,
): AsyncGenerator<ListPage> {
  const limit = pLimit(parts.concurrency);
  const iterator = keys[Symbol.asyncIterator]();
  using abort = new LinkedAbort(signal);
  const look = async (key: string): Promise<ObjectEntry | undefined> => {
    try {
      return await lookUp(prefix + key, parts, abort.signal);
    } catch (error) {
      abort.abort(error);
      return undefined;
    }
  };
  try {
    for (let batch: readonly string[]; ; ) {
      batch = await orAbort(nextBatch(iterator), abort.signal);
      if (batch.length === 0) return;
      const own = batch.filter((key) => parts.share(prefix + key));
      const found = await Promise.all(own.map((key) => limit(look, key)));
      abort.signal.throwIfAborted();
      yield { entries: found.filter((entry) => entry !== undefined), receivedBytes: 0 };
    }
  } finally {
    // Not awaited: whoever types the keys may take for ever.
    iterator.return?.().catch(() => {});
  }
}

/** Empty at the end of the list. */
async function nextBatch(keys: AsyncIterator<string>): Promise<readonly string[]> {
  const batch: string[] = [];
  while (batch.length < pageKeys) {
    const next = await keys.next();
    if (next.done) break;
    if (next.value !== "") batch.push(next.value);
  }
  return batch;
}

/** Leaves work that cannot be stopped to itself when the signal aborts. */
function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}

async function lookUp(key: string, parts: KeyListParts, signal: AbortSignal): Promise<ObjectEntry | undefined> {
  const { source, requests, ledger } = parts;
  const kind = { operation: "head", what: key, bodyBytes: 0, bufferBytes: 0 } as const;
  try {
    signal.throwIfAborted();
    const head = await requests.run({}, kind, () => source.head(key, signal), signal);
    return { ...head, key, type: "Normal" }; // HEAD of a link tells of the object that it leads to
  } catch (error) {
    if (signal.aborted || !isObjectsOwn(error)) throw error;
    const entry = { key, sizeBytes: 0, etag: "", modifiedMs: 0, type: "", storageClass: "", restored: false };
    ledger.listed([entry]);
    ledger.failed(entry, error);
    return undefined;
  }
}
