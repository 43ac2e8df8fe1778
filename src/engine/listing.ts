import { CopyError } from "../errors.ts";
import type { Clock, ListPage, ListPosition, ObjectEntry, ObjectSource } from "../types.ts";
import type { Limiter } from "./limiter.ts";
import { LinkedAbort } from "./linked-abort.ts";
import type { Requests } from "./requests.ts";

export interface ListingParts {
  readonly source: ObjectSource;
  readonly requests: Requests;
  readonly limiter: Limiter | undefined;
  readonly clock: Clock;
}

/**
 * Begins to read pages in order, all or those after a key; nothing is under way before the first is asked for, nor after
 * the generator's end.
 */
export type Pages = (signal: AbortSignal, startAfter?: string) => AsyncGenerator<ListPage>;

export type PageWithNext = ListPage & { readonly next: ListPosition | undefined };

/** The most that the service gives, and what an entry takes in a page, roughly: its key and 350 bytes around it. */
const mostKeys = 1000;
const entryBytes = 400;

/** One page, with retries. Under a limit it is asked for in pieces as small as those of objects. */
export async function listPage(
  position: ListPosition,
  { source, requests, limiter }: ListingParts,
  signal: AbortSignal,
): Promise<PageWithNext> {
  const affordable = limiter ? Math.max(1, Math.floor(limiter.grantBytes / entryBytes)) : mostKeys;
  const maxKeys = Math.min(affordable, position.maxKeys ?? mostKeys);
  const bodyBytes = limiter ? maxKeys * entryBytes : 0;
  const what = `listing of ${JSON.stringify(position.prefix)}`;
  const kind = { operation: "list", what, bodyBytes, bufferBytes: 0 } as const;
  const page = await requests.run({}, kind, () => source.listPage({ ...position, maxKeys }, signal), signal);
  limiter?.charge(Math.max(0, page.receivedBytes - bodyBytes));
  return page;
}

/** The pages from `first` on; the next one is asked for while this one is worked on. */
export async function* pagesFrom(
  first: PageWithNext,
  parts: ListingParts,
  signal: AbortSignal,
): AsyncGenerator<ListPage> {
  const loop = new LoopDetector();
  const repeats = new RepeatDetector();
  const keys = new KeyWatch(parts);
  using abort = new LinkedAbort(signal);
  let pending: Promise<PageWithNext> | undefined;
  try {
    for (let page: PageWithNext | undefined = first; page; page = await pending) {
      pending = undefined;
      keys.check(page);
      if (page.next) {
        loop.check(page.next);
        pending = listPage(page.next, parts, abort.signal);
        pending.catch(() => {}); // awaited in the next round, unless the consumer leaves before
      }
      repeats.check(page.entries);
      yield page;
    }
  } finally {
    abort.abort(new Error("nobody wants the next page"));
    await pending?.catch(() => {});
  }
}

/** The first page from a position on that is not empty: a page may be short, even empty, and not be the last. */
export async function firstFilledPage(
  from: ListPosition,
  parts: ListingParts,
  signal: AbortSignal,
): Promise<PageWithNext | undefined> {
  const loop = new LoopDetector();
  const keys = new KeyWatch(parts);
  for (let position: ListPosition | undefined = from; position; ) {
    const page = await listPage(position, parts, signal);
    if (page.entries.length > 0) return page;
    keys.check(page);
    position = page.next;
    if (position) loop.check(position);
  }
  return undefined;
}

/**
 * Finds keys that come twice within a page or on two in a row: each would be copied twice, at the same time and to the same
 * place. Looks closer only where keys do not ascend.
 */
class RepeatDetector {
  #previous: readonly ObjectEntry[] = [];

  check(entries: readonly ObjectEntry[]): void {
    let last = this.#previous.at(-1)?.key;
    let ascends = true;
    for (const { key } of entries) {
      // By UTF-16 units, not by bytes: in whatever order keys ascend, none of them comes twice.
      ascends &&= last === undefined || last < key;
      last = key;
    }
    if (!ascends) refuseRepeats([...this.#previous, ...entries]);
    if (entries.length > 0) this.#previous = entries;
  }
}

function refuseRepeats(entries: readonly ObjectEntry[]): void {
  const seen = new Set<string>();
  for (const { key } of entries) {
    if (seen.has(key)) throw new CopyError("source", `the listing shows the key ${JSON.stringify(key)} twice`);
    seen.add(key);
  }
}

/** Finds a listing that goes on without a key: each answer is a success with a new token, and none leads anywhere. */
class KeyWatch {
  readonly #parts: Pick<ListingParts, "requests" | "clock">;
  #emptyPages = 0;
  #emptySinceMs = 0;

  constructor(parts: Pick<ListingParts, "requests" | "clock">) {
    this.#parts = parts;
  }

  check({ entries }: ListPage): void {
    const { requests, clock } = this.#parts;
    if (entries.length > 0) {
      this.#emptyPages = 0;
      return;
    }
    if (this.#emptyPages++ === 0) this.#emptySinceMs = clock.nowMs();
    requests.expectProgress(this.#emptySinceMs, `the last ${this.#emptyPages} pages of the listing hold no key`);
  }
}

/** Finds a cycle of positions with one position of memory (R. P. Brent, BIT 20, 1980). */
class LoopDetector {
  #kept: string | undefined;
  #steps = 0;
  #power = 1;

  check({ continuationToken, startAfter }: ListPosition): void {
    const token = continuationToken ?? startAfter ?? "";
    if (token === this.#kept)
      throw new CopyError("source", "the listing goes in circles: a continuation token came back");
    if (++this.#steps === this.#power) {
      this.#kept = token;
      this.#power *= 2;
      this.#steps = 0;
    }
  }
}
