import { CopyError } from "../errors.ts";
import type { ListPage, ListPosition, ObjectSource } from "../types.ts";
import type { Limiter } from "./limiter.ts";
import type { Requests } from "./requests.ts";

export interface ListingParts {
  readonly source: ObjectSource;
  readonly requests: Requests;
  readonly limiter: Limiter | undefined;
}

type PageWithNext = ListPage & { readonly next: ListPosition | undefined };

/** One page, with retries. */
export async function listPage(
  position: ListPosition,
  { source, requests, limiter }: ListingParts,
  signal: AbortSignal,
): Promise<PageWithNext> {
  const what = `listing of ${JSON.stringify(position.prefix)}`;
  const kind = { operation: "list", what, bodyBytes: 0, bufferBytes: 0 } as const;
  const page = await requests.run({}, kind, () => source.listPage(position, signal), signal);
  limiter?.charge(page.receivedBytes);
  return page;
}

/** Pages of a prefix in order; the next one is asked for while this one is worked on. */
export async function* listPages(
  from: ListPosition,
  parts: ListingParts,
  signal: AbortSignal,
): AsyncGenerator<ListPage> {
  const loop = new LoopDetector();
  for (let pending: Promise<PageWithNext> | undefined = listPage(from, parts, signal); pending; ) {
    const page: PageWithNext = await pending;
    pending = undefined;
    if (page.next) {
      loop.check(page.next.continuationToken ?? "");
      pending = listPage(page.next, parts, signal);
      pending.catch(() => {}); // awaited in the next round, unless the consumer leaves before
    }
    yield page;
  }
}

/** Finds a cycle of continuation tokens with one token of memory (R. P. Brent, BIT 20, 1980). */
class LoopDetector {
  #kept: string | undefined;
  #steps = 0;
  #power = 1;

  check(token: string): void {
    if (token === this.#kept)
      throw new CopyError("source", "the listing goes in circles: a continuation token came back");
    if (++this.#steps === this.#power) {
      this.#kept = token;
      this.#power *= 2;
      this.#steps = 0;
    }
  }
}
