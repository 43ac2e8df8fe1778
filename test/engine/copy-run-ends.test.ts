import { expect, test } from "vitest";
import { pagesOfKeys } from "../../src/engine/listed-keys.ts";
import type { Pages } from "../../src/engine/listing.ts";
import { TooManyFailures } from "../../src/engine/too-many-failures.ts";
import { CopyError } from "../../src/errors.ts";
import { faultOf, fill } from "../support/copied.ts";
import { copyWorld, leftovers, makeWorld, nothingLeft, startCopy } from "../support/engine-world.ts";
import { drive } from "../support/fake-clock.ts";
import type { Fault, SeenRequest } from "../support/memory-bucket.ts";
import { pageOf, pagesOf } from "../support/sources.ts";

test("failures end the run as soon as there are too many", async () => {
  const sizes = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${1000 + i}`, 10]));
  const world = fill(
    makeWorld({ faults: ({ operation }) => (operation === "get" ? { kind: "missing" } : undefined) }),
    sizes,
  );
  const running = copyWorld(world, { options: { maxFailures: 5, concurrency: 2 } });
  await expect(running).rejects.toThrow(TooManyFailures);
  expect(world.ledger.counts.failed.objects).toBeGreaterThanOrEqual(5);
  expect(world.ledger.counts.failed.objects).toBeLessThanOrEqual(6);
  expect(leftovers(world)).toEqual(nothingLeft);
});

test.each(["auth", "source", "volume", "volume-full", "busy", "credentials", "identity"] as const)(
  "%s ends the run at once and stops every worker",
  async (kind) => {
    const sizes = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${1000 + i}`, i % 7 === 0 ? 300 : 10]));
    const world = fill(makeWorld({ faults: faultOf("k1100", { kind }) }), sizes);
    const running = copyWorld(world, { options: { maxFailures: 10 } });
    await expect(running).rejects.toMatchObject({ kind });
    expect(leftovers(world)).toEqual(nothingLeft);
    expect(world.ledger.counts.copied.objects).toBeLessThan(150);
    const made = world.bucket.requests.length;
    await world.clock.advance(100_000);
    expect(world.bucket.requests).toHaveLength(made);
  },
);

test("a fatal failure does not wait for a listing that is in trouble", async () => {
  const sizes = Object.fromEntries(Array.from({ length: 12_000 }, (_, i) => [`k${100_000 + i}`, 1]));
  const world = fill(
    makeWorld({
      retries: 1000,
      pageKeys: () => 1000,
      faults: ({ operation, index }) => {
        if (operation === "list" && index > 10) return { kind: "server", retryAfterMs: 500_000 };
        return operation === "get" && index > 2000 ? { kind: "auth" } : undefined;
      },
    }),
    sizes,
  );
  await expect(copyWorld(world)).rejects.toMatchObject({ kind: "auth" });
  expect(world.clock.nowMs()).toBeLessThan(100_000);
  expect(leftovers(world)).toEqual(nothingLeft);
});

test("a listing that fails ends the run", async () => {
  const world = fill(
    makeWorld({ pageKeys: () => 2, faults: ({ index }) => (index === 2 ? { kind: "auth" } : undefined) }),
  );
  await expect(copyWorld(world)).rejects.toMatchObject({ kind: "auth" });
  expect(leftovers(world)).toEqual(nothingLeft);
  expect(world.plane.volume.files.size).toBe(0);
});

test("keys of a list that do not exist count as failures that may end the run before it begins", async () => {
  const world = fill(makeWorld(), { a: 1 });
  async function* keys() {
    yield* ["a", "gone"];
  }
  const pages: Pages = (signal) => pagesOfKeys(keys(), "", { ...world, concurrency: 4, share: () => true }, signal);
  const running = copyWorld(world, { pages, options: { maxFailures: 1, sorted: false } });
  await expect(running).rejects.toThrow(TooManyFailures);
  expect(world.plane.events).toEqual([]);
});

test.each([new CopyError("volume", "broken"), new TypeError("bug")])(
  "a failure to publish that is no file's own ends the run: %s",
  async (error) => {
    const volumeFault = (action: string): Error | undefined => (action === "publish" ? error : undefined);
    const world = fill(makeWorld({ staged: true, volumeFault }));
    await expect(copyWorld(world)).rejects.toThrow(error);
    expect(leftovers(world)).toEqual(nothingLeft);
  },
);

test("an abort at any moment ends the run with the signal's reason and leaves nothing under way", async () => {
  for (const staged of [false, true]) {
    for (let atMs = 0; atMs < 400; atMs += 7) {
      const faults = ({ index, operation }: SeenRequest): Fault | undefined => {
        if (operation === "get" && index % 9 === 0) return { kind: "overwritten" };
        return index % 5 === 1 ? { kind: "server" } : undefined;
      };
      const world = fill(makeWorld({ faults, mostRequests: 3, pageKeys: () => 2, staged, seed: atMs + 1 }));
      world.bucket.put("link", "x", { type: "Symlink" });
      const stop = new AbortController();
      const running = startCopy(world, { signal: stop.signal }).then(
        () => "complete",
        (error: unknown) => error,
      );
      await world.clock.advance(atMs);
      stop.abort(new Error("stop"));
      const end = await drive(world.clock, running);
      if (end !== "complete") expect(end).toEqual(new Error("stop"));
      expect(leftovers(world)).toEqual(nothingLeft);
      const made = world.bucket.requests.length;
      await world.clock.advance(60_000);
      expect(world.bucket.requests).toHaveLength(made);
    }
  }
});

test("a run that is aborted before it starts asks for nothing", async () => {
  const world = fill(makeWorld());
  const pages = (): AsyncGenerator<ReturnType<typeof pageOf>> => pagesOf(pageOf(world.bucket.entry("a/1")));
  const running = copyWorld(world, { pages, signal: AbortSignal.abort(new Error("stop")) });
  await expect(running).rejects.toThrow("stop");
  expect(world.bucket.requests).toEqual([]);
  expect(world.plane.events).toEqual([]);
});
