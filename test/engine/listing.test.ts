import fc from "fast-check";
import { expect, test } from "vitest";
import {
  firstFilledPage,
  type ListingParts,
  listPage,
  type PageWithNext,
  pagesFrom,
} from "../../src/engine/listing.ts";
import type { ListPage, ListPosition, ObjectSource } from "../../src/types.ts";
import { makeWorld, never, type World, type WorldOptions } from "../support/engine-world.ts";
import { drive, seededRandom, turn } from "../support/fake-clock.ts";
import { collect, entryOf, pageOf } from "../support/sources.ts";

const all: ListPosition = { prefix: "" };

function filled(count: number, options: WorldOptions = {}): World {
  const world = makeWorld(options);
  for (let i = 0; i < count; i++) world.bucket.put(`key-${String(i).padStart(5, "0")}`, "x");
  return world;
}

async function* pagesOfAll(parts: ListingParts, signal: AbortSignal = never) {
  yield* pagesFrom(await listPage(all, parts, signal), parts, signal);
}

test("every key comes once and in order, however short the pages are", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(60), fc.nat(), async (count, seed) => {
      const random = seededRandom(seed);
      const world = filled(count, { pageKeys: () => Math.floor(random() * 4) });
      const pages = await drive(world.clock, collect(pagesOfAll(world)));
      expect(pages.flatMap(({ entries }) => entries)).toEqual(world.bucket.entries(""));
    }),
  );
});

test("the next page is asked for while one is worked on, and no more than that", async () => {
  const world = filled(50, { pageKeys: () => 10 });
  const pages = pagesOfAll(world);
  await drive(world.clock, pages.next());
  await turn();
  expect(world.bucket.requests).toHaveLength(2);
  await world.clock.advance(10_000);
  expect(world.bucket.requests).toHaveLength(2);
  await drive(world.clock, pages.next());
  await world.clock.advance(10_000);
  expect(world.bucket.requests).toHaveLength(3);
  await drive(world.clock, pages.return(undefined));
});

test("whoever leaves leaves no request behind, not even its retries", async () => {
  const world = filled(50, {
    pageKeys: () => 10,
    faults: ({ index }) => (index > 0 ? { kind: "server" } : undefined),
  });
  const pages = pagesOfAll(world);
  await drive(world.clock, pages.next());
  await pages.return(undefined);
  expect(world.bucket.open).toBe(0);
  expect(world.clock.sleeping).toBe(0);
  await world.clock.advance(100_000);
  expect(world.bucket.requests.length).toBeLessThanOrEqual(2);
});

test("a request that takes its time to end is waited for", async () => {
  const world = filled(50, { pageKeys: () => 10 });
  let open = 0;
  const source: ObjectSource = {
    ...circle(0, 9, 1),
    listPage: async (position, signal) => {
      open++;
      try {
        return await world.source.listPage(position, signal);
      } finally {
        await world.clock.sleep(50, never);
        open--;
      }
    },
  };
  const pages = pagesOfAll({ ...world, source });
  await drive(world.clock, pages.next());
  await turn();
  expect(open).toBe(1);
  await drive(world.clock, pages.return(undefined));
  expect(open).toBe(0);
});

test("nothing is under way before the first page is asked for", async () => {
  const world = filled(50, { pageKeys: () => 10 });
  const first = await drive(world.clock, listPage(all, world, never));
  const pages = pagesFrom(first, world, never);
  await turn();
  expect(pages).toBeDefined();
  expect(world.bucket.requests).toHaveLength(1);
});

test("an abort ends the listing with the signal's reason", async () => {
  const world = filled(50, { pageKeys: () => 10 });
  const stop = new AbortController();
  const pages = pagesOfAll(world, stop.signal);
  await drive(world.clock, pages.next());
  stop.abort(new Error("stop"));
  await expect(pages.next()).rejects.toThrow("stop");
  expect(world.bucket.open).toBe(0);
});

test("a page that fails while the one before is worked on is told when it is due", async () => {
  const world = filled(50, { pageKeys: () => 10, faults: ({ index }) => (index > 0 ? { kind: "auth" } : undefined) });
  const pages = pagesOfAll(world);
  await drive(world.clock, pages.next());
  await world.clock.advance(10_000);
  await expect(pages.next()).rejects.toMatchObject({ kind: "auth" });
});

/** A listing whose tokens run into a circle after `lead` pages. */
function circle(lead: number, length: number, entries: number): ObjectSource {
  const world = makeWorld();
  const listPage = async ({ prefix, continuationToken = "0" }: ListPosition): Promise<PageWithNext> => {
    const number = Number(continuationToken);
    const next = number + 1 < lead + length ? number + 1 : lead;
    const page = pageOf(...Array.from({ length: entries }, (_, i) => entryOf(`${number}-${i}`)));
    return { ...page, next: { prefix, continuationToken: String(next) } };
  };
  return { listPage, head: world.source.head, probe: world.source.probe, refresh: world.source.refresh };
}

test("a listing that goes in circles of any length ends, with entries or without", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(40), fc.integer({ min: 1, max: 40 }), fc.nat(2), async (lead, length, entries) => {
      const world = { ...makeWorld(), source: circle(lead, length, entries) };
      const reading: Promise<unknown> = entries > 0 ? collect(pagesOfAll(world)) : firstFilledPage(all, world, never);
      await expect(drive(world.clock, reading)).rejects.toMatchObject({ kind: "source" });
    }),
    { numRuns: 60 },
  );
});

/** A source that lists these keys, page by page. */
function listingOf(pages: readonly (readonly string[])[]): ObjectSource {
  const listPage = async ({ prefix, continuationToken = "0" }: ListPosition): Promise<PageWithNext> => {
    const number = Number(continuationToken);
    const next = number + 1 < pages.length ? { prefix, continuationToken: String(number + 1) } : undefined;
    return { ...pageOf(...(pages[number] ?? []).map((key) => entryOf(key))), next };
  };
  return { ...circle(0, 1, 1), listPage };
}

test.each([
  ["a page", [["a", "b"], ["a", "b"], ["c"]]],
  [
    "the end of a page",
    [
      ["a", "b"],
      ["b", "c"],
    ],
  ],
  ["a key", [["a", "b", "b"]]],
])("a listing that repeats %s is refused", async (_, pages) => {
  const world = { ...makeWorld(), source: listingOf(pages) };
  const reading = drive(world.clock, collect(pagesOfAll(world)));
  await expect(reading).rejects.toMatchObject({ kind: "source", message: expect.stringContaining("twice") });
});

test.each([[["b", "a"]], [["\uffff", "\u{1f600}"]]])(
  "a listing in another order than ours is read: %j",
  async (keys) => {
    const world = { ...makeWorld(), source: listingOf([keys, ["z"]]) };
    const pages = await drive(world.clock, collect(pagesOfAll(world)));
    expect(pages.flatMap(({ entries }) => entries.map(({ key }) => key))).toEqual([...keys, "z"]);
  },
);

test("positions that name the last key and have no token are no circle", async () => {
  const world = makeWorld();
  const keys = ["a", "b", "c", "d", "e"];
  const listPage = async ({ prefix, startAfter = "" }: ListPosition): Promise<PageWithNext> => {
    const [key = ""] = keys.filter((each) => each > startAfter);
    return { ...pageOf(entryOf(key)), next: key === "e" ? undefined : { prefix, startAfter: key } };
  };
  const source = { ...circle(0, 1, 1), listPage };
  const pages = await drive(world.clock, collect(pagesOfAll({ ...world, source })));
  expect(pages.flatMap(({ entries }) => entries.map(({ key }) => key))).toEqual(keys);
});

test("empty pages before the first key are passed over, and none at all is nothing", async () => {
  const lengths = [0, 0, 2];
  const world = filled(5, { pageKeys: () => lengths.shift() ?? 1 });
  const page = await drive(world.clock, firstFilledPage(all, world, never));
  expect(page?.entries).toHaveLength(2);
  expect(await drive(world.clock, firstFilledPage({ prefix: "none" }, world, never))).toBeUndefined();
});

test.for([0, 1])(
  "a listing that goes on without a key, after %i of them, is given up after --retry-for",
  async (keys) => {
    const world = makeWorld({ retryForMs: 60_000 });
    const listPage = async ({ prefix, continuationToken = "0" }: ListPosition): Promise<PageWithNext> => {
      await world.clock.sleep(1000, never);
      const number = Number(continuationToken);
      const page = number < keys ? pageOf(entryOf(String(number))) : pageOf();
      return { ...page, next: { prefix, continuationToken: String(number + 1) } };
    };
    const parts = { ...world, source: { ...circle(0, 1, 1), listPage } };
    const reading: Promise<unknown> = keys > 0 ? collect(pagesOfAll(parts)) : firstFilledPage(all, parts, never);
    const beganMs = world.clock.nowMs();
    await expect(drive(world.clock, reading)).rejects.toMatchObject({
      kind: "outage",
      message: expect.stringMatching(/hold no key; nothing has gone on for 1 min \(--retry-for\)$/),
    });
    expect(world.clock.nowMs() - beganMs).toBeLessThan(65_000);
  },
);

test("empty pages between keys are waited through, as long as keys come again within --retry-for", async () => {
  const world = makeWorld({ retryForMs: 60_000 });
  const listPage = async ({ prefix, continuationToken = "0" }: ListPosition): Promise<PageWithNext> => {
    await world.clock.sleep(1000, never);
    const number = Number(continuationToken);
    const page = number % 50 === 0 ? pageOf(entryOf(String(1000 + number))) : pageOf();
    return { ...page, next: number === 200 ? undefined : { prefix, continuationToken: String(number + 1) } };
  };
  const parts = { ...world, source: { ...circle(0, 1, 1), listPage } };
  const pages = await drive(world.clock, collect(pagesOfAll(parts)));
  expect(pages.flatMap(({ entries }) => entries)).toHaveLength(5);
});

test("pages count against the limit before they come, in pieces that fit it", async () => {
  const bytesPerSecond = 500_000;
  const world = filled(2000, { bytesPerSecond });
  const arrived: { atMs: number; bytes: number }[] = [];
  for await (const page of driven(world)) arrived.push({ atMs: world.clock.nowMs(), bytes: page.receivedBytes });
  expect(arrived.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(bytesPerSecond);
  for (const { atMs } of arrived) {
    const within = arrived.filter((page) => page.atMs >= atMs && page.atMs < atMs + 1000);
    expect(within.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(bytesPerSecond * 1.05);
  }
});

/** Lets time pass only while a page is waited for. */
async function* driven(world: World): AsyncGenerator<ListPage> {
  const pages = pagesOfAll(world);
  for (;;) {
    const next = await drive(world.clock, pages.next());
    if (next.done) return;
    yield next.value;
  }
}

test("pages that were longer than expected are paid for afterwards", async () => {
  const world = filled(10, { bytesPerSecond: 1000 });
  await drive(world.clock, listPage({ prefix: "", maxKeys: 1 }, world, never));
  const source = { ...circle(0, 9, 1), listPage: async () => ({ entries: [], receivedBytes: 5000, next: undefined }) };
  await drive(world.clock, listPage(all, { ...world, source }, never));
  const beforeMs = world.clock.nowMs();
  await drive(world.clock, listPage(all, world, never));
  expect(world.clock.nowMs() - beforeMs).toBeGreaterThan(4000);
});

test("without a limit pages are as long as the service allows", async () => {
  const world = filled(1500);
  const pages = await drive(world.clock, collect(pagesOfAll(world)));
  expect(pages.map(({ entries }) => entries.length)).toEqual([1000, 500]);
});
