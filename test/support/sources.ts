import type { PathRules } from "../../src/engine/plan.ts";
import { CopyError } from "../../src/errors.ts";
import type { ListPage, ObjectEntry, SafePath } from "../../src/types.ts";

/** An ordinary entry; `changes` make it another. */
export function entryOf(key: string, changes: Partial<ObjectEntry> = {}): ObjectEntry {
  return {
    key,
    sizeBytes: 1,
    etag: `"${key}"`,
    modifiedMs: 1_700_000_000_000,
    type: "Normal",
    storageClass: "Standard",
    restored: false,
    ...changes,
  };
}

export function pageOf(...entries: readonly ObjectEntry[]): ListPage {
  return { entries, receivedBytes: 0 };
}

export async function* pagesOf(...pages: readonly ListPage[]): AsyncGenerator<ListPage> {
  yield* pages;
}

/** Rules that are simpler than the volume's: a path is refused when it has a `..` segment. */
export const simpleRules: PathRules = {
  resolveFile: resolve,
  resolveDirectory: (relative) => resolve(relative.slice(0, -1)),
  versionOf: ({ etag }) => etag.replaceAll('"', ""),
};

function resolve(relative: string): SafePath {
  if (relative.split("/").includes("..")) throw new CopyError("unsupported", `${relative} cannot be a path`);
  return relative as SafePath; // never leaves the memory of a test
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
