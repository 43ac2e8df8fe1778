import pLimit from "p-limit";
import type { ListPage, ObjectEntry, ObjectSource } from "../types.ts";
import type { Ledger } from "./ledger.ts";
import type { Requests } from "./requests.ts";
import { isObjectsOwn } from "./retry.ts";

const pageKeys = 1000;

export interface KeyListParts {
  readonly source: ObjectSource;
  readonly requests: Requests;
  readonly ledger: Ledger;
  /** HEAD requests at once. */
  readonly concurrency: number;
}

/** Pages made from a list of keys below `prefix` instead of a listing: one HEAD per key. */
export async function* pagesOfKeys(
  keys: AsyncIterable<string>,
  prefix: string,
  parts: KeyListParts,
  signal: AbortSignal,
): AsyncGenerator<ListPage> {
  const limit = pLimit(parts.concurrency);
  let batch: string[] = [];
  const page = async (): Promise<ListPage> => {
    const found = await Promise.all(batch.map((key) => limit(() => lookUp(prefix + key, parts, signal))));
    batch = [];
    return { entries: found.filter((entry) => entry !== undefined), receivedBytes: 0 };
  };
  for await (const key of keys) {
    if (key === "") continue;
    batch.push(key);
    if (batch.length === pageKeys) yield await page();
  }
  if (batch.length > 0) yield await page();
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
