import { CopyError } from "../errors.ts";
import type { ListPage, ListPosition, ObjectEntry } from "../types.ts";
import { type ListingParts, listPage, listPages } from "./listing.ts";

/** What a path of the contract stands for: entries in key order, and the part of their keys to cut off. */
export interface Selection {
  readonly kind: "directory" | "object";
  readonly prefix: string;
  readonly pages: AsyncGenerator<ListPage>;
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
  const pages = listPages({ prefix: directory }, parts, signal);
  const first = await nextFilled(pages);
  if (object && first) {
    throw new CopyError(
      "source",
      `${JSON.stringify(path)} is an object and ${JSON.stringify(directory)} a directory: ` +
        `give the directory as ${JSON.stringify(directory)}, or copy the object with its directory and --include`,
    );
  }
  if (object) {
    return { kind: "object", prefix: path.slice(0, path.lastIndexOf("/") + 1), pages: onePage([object]) };
  }
  if (!first && !allowEmpty) {
    throw new CopyError(
      "source",
      `there is nothing under the path ${JSON.stringify(path)} (--allow-empty accepts that)`,
    );
  }
  return { kind: "directory", prefix: directory, pages: chain(first, pages) };
}

/** The object that has exactly this key: in key order it comes before all others that begin with it. */
async function findObject(key: string, parts: ListingParts, signal: AbortSignal): Promise<ObjectEntry | undefined> {
  for (let position: ListPosition | undefined = { prefix: key, maxKeys: 1 }; position; ) {
    const page = await listPage(position, parts, signal);
    const entry = page.entries[0];
    if (entry) return entry.key === key ? entry : undefined;
    position = page.next;
  }
  return undefined;
}

/** A page may be short, even empty, and not be the last. */
async function nextFilled(pages: AsyncGenerator<ListPage>): Promise<ListPage | undefined> {
  for (;;) {
    const { done, value } = await pages.next();
    if (done) return undefined;
    if (value.entries.length > 0) return value;
  }
}

async function* onePage(entries: readonly ObjectEntry[]): AsyncGenerator<ListPage> {
  yield { entries, receivedBytes: 0 };
}

async function* chain(first: ListPage | undefined, rest: AsyncGenerator<ListPage>): AsyncGenerator<ListPage> {
  if (first) yield first;
  yield* rest;
}
