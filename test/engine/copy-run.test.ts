import { expect, test, vi } from "vitest";
import { createDecision } from "../../src/engine/decide-copy.ts";
import { SpaceBudget } from "../../src/engine/space-budget.ts";
import { TooManyFailures } from "../../src/engine/too-many-failures.ts";
import { CopyError } from "../../src/errors.ts";
import { expectCopied, faultOf, fill, objects } from "../support/copied.ts";
import { copyWorld, leftovers, makeWorld, nothingLeft, startCopy } from "../support/engine-world.ts";
import { drive } from "../support/fake-clock.ts";
import type { Fault, SeenRequest } from "../support/memory-bucket.ts";
import { entryOf, pageOf, pagesOf } from "../support/sources.ts";

test("everything that is listed is copied, whatever its size, and counted once", async () => {
  const world = fill(makeWorld());
  const { sourceDigest } = await copyWorld(world);
  expectCopied(world);
  expect([...world.plane.volume.directories]).toEqual(["c"]);
  expect(objects(world)).toEqual({ listed: 7, copied: 7, skipped: 0, failed: 0 });
  expect(world.ledger.counts.copied.bytes).toBe(world.ledger.counts.listed.bytes);
  expect(world.ledger.listingComplete).toBe(true);
  expect(world.ledger.verified.crc64).toBe(6);
  expect(sourceDigest).toMatch(/^[0-9a-f]{64}$/);
  expect(leftovers(world)).toEqual(nothingLeft);
});

test("the digest of the source does not depend on its pages", async () => {
  const digests = new Set<string>();
  for (const pageKeys of [1, 2, 1000]) {
    digests.add((await copyWorld(fill(makeWorld({ pageKeys: () => pageKeys })))).sourceDigest);
  }
  expect(digests.size).toBe(1);
});

test("requests and buffers stay within their bounds", async () => {
  const world = fill(makeWorld({ mostRequests: 3, mostBytes: 128 }));
  await copyWorld(world, { options: { concurrency: 20 } });
  expectCopied(world);
  expect(world.bucket.mostOpen).toBeLessThanOrEqual(3);
  expect(world.plane.mostBufferBytes).toBeLessThanOrEqual(128);
});

test("under a limit, what is granted at once begins at once", async () => {
  const sizes = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${String(i).padStart(2, "0")}`, 5]));
  const world = fill(makeWorld({ bytesPerSecond: 4000, mostRequests: 40, mostBytes: 1024 }), sizes);
  using copyWholes = vi.spyOn(world.plane, "copyWholes");
  const entries = [...world.bucket.objects.keys()].map((key) => world.bucket.entry(key));
  await copyWorld(world, { pages: () => pagesOf(pageOf(...entries)) });
  expectCopied(world);
  expect(copyWholes.mock.calls.length).toBeLessThanOrEqual(40 / 3);
});

test("many large objects at once do not block each other", async () => {
  const sizes = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, 100 + i]));
  for (const concurrency of [1, 7, 8, 9, 64]) {
    const world = fill(makeWorld({ mostRequests: 4 }), sizes);
    await copyWorld(world, { options: { concurrency } });
    expectCopied(world);
  }
});

/** The most files that were open at the same time. */
function mostOpenFiles(events: readonly string[]): number {
  let open = 0;
  let most = 0;
  for (const event of events) {
    if (event.startsWith("open ")) most = Math.max(most, ++open);
    if (event.startsWith("settle ")) open--;
  }
  return most;
}

test.each([
  ["many ranges", 32, 8],
  ["one range", 128, 32],
])("of large objects of %s (of %i bytes) %i are open at once", async (_, rangeBytes, most) => {
  const sizes = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, 100]));
  const world = fill(makeWorld({ mostRequests: 100, mostBytes: 10_000 }), sizes);
  await copyWorld(world, { options: { concurrency: 60, rangeBytes } });
  expectCopied(world);
  expect(mostOpenFiles(world.plane.events)).toBe(most);
});

test("the run begins once, before anything is written, and also when there is nothing to copy", async () => {
  const world = fill(makeWorld());
  await copyWorld(world);
  expect(world.plane.events.filter((event) => event === "begin")).toHaveLength(1);
  expect(world.plane.events[0]).toBe("begin");
  const empty = makeWorld();
  await copyWorld(empty);
  expect(empty.plane.events).toEqual(["begin"]);
  expect(objects(empty)).toEqual({ listed: 0, copied: 0, skipped: 0, failed: 0 });
});

test("a run that cannot begin ends, and leaves nothing", async () => {
  const world = fill(makeWorld());
  const begin = (): Promise<void> => Promise.reject(new CopyError("volume", "read-only"));
  await expect(copyWorld(world, { parts: { begin } })).rejects.toThrow("read-only");
  expect(world.plane.volume.files.size).toBe(0);
  expect(leftovers(world)).toEqual(nothingLeft);
});

test("pages are pulled only as fast as objects are copied", async () => {
  const world = makeWorld();
  let pulled = 0;
  async function* endless() {
    for (; pulled < 100; pulled++) {
      yield pageOf(...Array.from({ length: 1000 }, (_, i) => entryOf(`${String(pulled).padStart(3, "0")}/${i}`)));
    }
  }
  const stop = new AbortController();
  const running = startCopy(world, { pages: endless, signal: stop.signal });
  const ended = running.catch((error: unknown) => error);
  await world.clock.advance(20);
  expect(pulled).toBeLessThanOrEqual(12);
  stop.abort(new Error("stop"));
  expect(await drive(world.clock, ended)).toEqual(new Error("stop"));
});

test("smaller sources are known in full before the first byte", async () => {
  const world = fill(makeWorld({ pageKeys: () => 1 }));
  await copyWorld(world);
  const firstGet = world.bucket.requests.findIndex(({ operation }) => operation === "get");
  const lists = world.bucket.requests.map(({ operation }, i) => (operation === "list" ? i : -1));
  expect(Math.max(...lists)).toBeLessThan(firstGet);
});

test("keys that cannot be files are all told together, and nothing is written", async () => {
  const sizes = { "../a": 1, "../b": 1, a: 1, "a/b": 1, "z/": 3 };
  const world = fill(makeWorld({ pageKeys: () => 1 }), sizes);
  await expect(copyWorld(world, { options: { maxFailures: 1 } })).rejects.toThrow(TooManyFailures);
  expect(world.ledger.failures.map(({ key }) => key)).toEqual(["../a", "../b", "a/b", "z/"]);
  expect(world.plane.events).toEqual([]);
  expect(world.plane.volume.files.size).toBe(0);
  expect(leftovers(world)).toEqual(nothingLeft);
});

test("without a bound on failures the others are copied", async () => {
  const world = fill(makeWorld(), { "../a": 1, a: 1, "b/../c": 1, d: 40 });
  await copyWorld(world);
  expectCopied(world, ["a", "d"]);
  expect(objects(world)).toEqual({ listed: 4, copied: 2, skipped: 0, failed: 2 });
});

test("keys that cannot be files are skipped when that is asked for", async () => {
  const world = fill(makeWorld(), { "../a": 1, a: 1 });
  await copyWorld(world, { options: { unsupported: "skip", maxFailures: 1 } });
  expect(objects(world)).toEqual({ listed: 2, copied: 1, skipped: 1, failed: 0 });
});

test("a refusal of the volume is skipped like one of the plan", async () => {
  const volumeFault = (): Error => new CopyError("unsupported", "made already under another case");
  const world = fill(makeWorld({ volumeFault }), { a: 1, b: 40 });
  await copyWorld(world, { options: { unsupported: "skip", maxFailures: 1 } });
  expect(objects(world)).toEqual({ listed: 2, copied: 0, skipped: 2, failed: 0 });
});

test("an object that fails does not touch the others", async () => {
  const world = fill(makeWorld({ faults: faultOf("b/large", { kind: "missing" }) }));
  await copyWorld(world);
  expectCopied(world, ["a/1", "a/2", "b/more", "empty", "huge"]);
  expect(world.plane.volume.files.has("b/large")).toBe(false);
  expect(objects(world)).toEqual({ listed: 7, copied: 6, skipped: 0, failed: 1 });
  expect(world.ledger.failures).toMatchObject([{ key: "b/large", kind: "missing" }]);
});

test("what cannot fit is refused before the first byte", async () => {
  const world = fill(makeWorld({ pageKeys: () => 2 }));
  const space = new SpaceBudget({ freeBytes: 1000, freeInodes: undefined, blockBytes: 1 });
  await expect(copyWorld(world, { parts: { space } })).rejects.toMatchObject({ kind: "volume-full" });
  expect(world.plane.events).toEqual([]);
});

test("a dry run lists, plans and checks, and neither reads nor writes an object", async () => {
  for (const plane of [undefined, "memory"]) {
    const world = fill(makeWorld({ pageKeys: () => 2 }));
    await copyWorld(world, { options: { dryRun: true }, ...(plane ? {} : { parts: { plane: undefined } }) });
    expect(world.plane.events).toEqual([]);
    expect(world.plane.volume.files.size + world.plane.volume.directories.size).toBe(0);
    expect(world.bucket.requests.every(({ operation }) => operation === "list")).toBe(true);
    expect(objects(world)).toEqual({ listed: 7, copied: 0, skipped: 0, failed: 0 });
  }
});

test("a dry run of a source that is longer than the look-ahead comes to its end", async () => {
  const world = makeWorld();
  const pages = Array.from({ length: 25 }, (_, page) =>
    pageOf(...Array.from({ length: 1000 }, (_, i) => entryOf(`${100 + page}/${1000 + i}`))),
  );
  await copyWorld(world, { pages: () => pagesOf(...pages), options: { dryRun: true } });
  expect(objects(world)).toMatchObject({ listed: 25_000, copied: 0 });
});

test("links are copied as what they lead to, and one that leads nowhere fails alone", async () => {
  const faults = ({ operation, key }: SeenRequest): Fault | undefined =>
    operation === "head" && key === "lost" ? { kind: "missing" } : undefined;
  const world = makeWorld({ faults });
  for (const key of ["lost", "link", "plain"]) world.bucket.put(key, key, key === "plain" ? {} : { type: "Symlink" });
  await copyWorld(world);
  expectCopied(world, ["link", "plain"]);
  expect(objects(world)).toEqual({ listed: 3, copied: 2, skipped: 0, failed: 1 });
});

test("many links are looked up at the same time, and keep their places", async () => {
  const world = makeWorld({ mostRequests: 64 });
  for (let i = 0; i < 50; i++) world.bucket.put(`link${100 + i}`, `${i}`, { type: "Symlink" });
  await copyWorld(world);
  expectCopied(world);
  expect(world.bucket.requests.filter(({ operation }) => operation === "head")).toHaveLength(50);
  expect(world.clock.nowMs()).toBeLessThan(400);
});

test.each([true, false])("archived objects are found out by one probe (readable: %s)", async (readsArchive) => {
  const world = makeWorld({ pageKeys: () => 2 });
  world.source.readsArchive = readsArchive;
  for (const key of ["a", "b", "c", "d"])
    world.bucket.put(key, key, { storageClass: key === "b" ? "Standard" : "Archive" });
  await copyWorld(world);
  expect(objects(world)).toMatchObject(readsArchive ? { copied: 4, failed: 0 } : { copied: 1, failed: 3 });
  const gets = world.bucket.requests.filter(({ operation }) => operation === "get");
  expect(gets).toHaveLength(readsArchive ? 5 : 2);
});

test("files that stand at the target as they should are skipped, those in the way fail", async () => {
  const world = fill(makeWorld(), { a: 5, b: 5, c: 5 });
  const { bytes, modifiedMs } = world.bucket.stored("a");
  world.plane.volume.files.set("a", { bytes, modifiedMs });
  world.plane.volume.directories.add("b");
  await copyWorld(world, { options: { decide: createDecision({ overwrite: "always", mtime: true }) } });
  expect(objects(world)).toEqual({ listed: 3, copied: 1, skipped: 1, failed: 1 });
  expect(world.ledger.failures).toMatchObject([{ key: "b", kind: "occupied" }]);
  expectCopied(world, ["a", "c"]);
});

test("filters take part before everything else", async () => {
  const world = fill(makeWorld(), { "../a": 1, a: 1, b: 1 });
  await copyWorld(world, { options: { select: (relative) => relative === "b", maxFailures: 1 } });
  expect(objects(world)).toEqual({ listed: 1, copied: 1, skipped: 0, failed: 0 });
});

test("staged files get their names after a common sync, the last of them before the end", async () => {
  const world = fill(makeWorld({ staged: true }));
  await copyWorld(world);
  expectCopied(world);
  expect(world.plane.volume.stagedFiles.size).toBe(0);
  const publishing = world.plane.events.findIndex((event) => event.startsWith("publish"));
  expect(world.plane.events[publishing - 1]).toBe("sync");
  expect(objects(world)).toEqual({ listed: 7, copied: 7, skipped: 0, failed: 0 });
});

test("a file that cannot get its name fails alone", async () => {
  const volumeFault = (action: string, path: string): Error | undefined =>
    action === "publish" && path === "a/1" ? new CopyError("occupied", "a directory is there") : undefined;
  const world = fill(makeWorld({ staged: true, volumeFault }));
  await copyWorld(world);
  expect(objects(world)).toEqual({ listed: 7, copied: 6, skipped: 0, failed: 1 });
});
