import { CopyError } from "../errors.ts";
import type { ListPage, ObjectEntry } from "../types.ts";
import { firstFilledPage, type ListingParts, type Pages, pagesFrom } from "./listing.ts";

/** What a path of the contract stands for: entries in key order, and the part of their keys to cut off. */
export interface Selection {
  readonly kind: "directory" | "object";
  readonly prefix: string;
  readonly pages: Pages;
}

/**
 * Finds out whether `path` is a directory or one object. Throws CopyError `source` when it is both, or nothing (unless
 * `allowEmpty`): judged before any filter.
 */
export async function selectSource(
  path: string,
  allowEmpty: boolean,
  parts: ListingParts,
  signal: AbortSignal,
): Promise<Selection> {
  const directory = path === "" || path.endsWith("/") ? path : `${path}/`;
  const object = directory === path ? undefined : await findObject(path, parts, signal);
  const first = await firstFilledPage({ prefix: directory }, parts, signal);
  if (object && first) {
    throw new CopyError(
      "source",
      `${JSON.stringify(path)} is an object and ${JSON.stringify(directory)} a directory: ` +
        `give the directory as ${JSON.stringify(directory)}, or copy the object with its directory and --include`,
    );
  }
  if (object) {
    return {
      kind: "object",
      prefix: path.slice(0, path.lastIndexOf("/") + 1),
      pages: (_, after) => onePage(after === object.key ? [] : [object]),
    };
  }
  if (!first && !allowEmpty) {
    throw new CopyError(
      "source",
      `there is nothing under the path ${JSON.stringify(path)} (--allow-empty accepts that)`,
    );
  }
  const pages: Pages = (reader, startAfter) => {
    if (startAfter !== undefined) return pagesAfter(startAfter, directory, parts, reader);
    return first ? pagesFrom(first, parts, reader) : onePage([]);
  };
  return { kind: "directory", prefix: directory, pages };
}

async function* pagesAfter(
  startAfter: string,
  prefix: string,
  parts: ListingParts,
  signal: AbortSignal,
): AsyncGenerator<ListPage> {
  const first = await firstFilledPage({ prefix, startAfter }, parts, signal);
  if (first) yield* pagesFrom(first, parts, signal);
}

/** The object that has exactly this key: in key order it comes before all others that begin with it. */
async function findObject(key: string, parts: ListingParts, signal: AbortSignal): Promise<ObjectEntry | undefined> {
  const page = await firstFilledPage({ prefix: key, maxKeys: 1 }, parts, signal);
  return page?.entries.find((entry) => entry.key === key);
}

async function* onePage(entries: readonly ObjectEntry[]): AsyncGenerator<ListPage> {
  yield { entries, receivedBytes: 0 };
}
