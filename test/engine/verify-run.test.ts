import fc from "fast-check";
import { expect, test } from "vitest";
import { selectSource } from "../../src/engine/select-source.ts";
import { TooManyFailures } from "../../src/engine/too-many-failures.ts";
import { type VerifyOptions, verifyAll } from "../../src/engine/verify-run.ts";
import { CopyError } from "../../src/errors.ts";
import { leftovers, makeWorld, never, nothingLeft, type World, type WorldOptions } from "../support/engine-world.ts";
import { drive, seededRandom } from "../support/fake-clock.ts";
import { MemoryTree } from "../support/memory-tree.ts";
import { entryOf, pageOf, pagesOf, simpleRules } from "../support/sources.ts";

const options: VerifyOptions = {
  select: () => true,
  unsupported: "fail",
  maxFailures: undefined,
  concurrency: 3,
  sorted: true,
  extras: true,
  lengthProves: true,
};

function setUp(keys: readonly string[], worldOptions: WorldOptions = {}) {
  const world = makeWorld(worldOptions);
  const local = new MemoryTree();
  for (const key of keys) {
    world.bucket.put(key, key.endsWith("/") ? "" : `content of ${key}`);
    if (key.endsWith("/")) local.directories.add(key.slice(0, -1));
    else local.files.set(key, Buffer.from(`content of ${key}`));
  }
  return { world, local };
}

async function start(
  world: World,
  local: MemoryTree,
  changes: Partial<VerifyOptions> = {},
  signal: AbortSignal = never,
) {
  const { pages } = await selectSource("", true, world, signal);
  return verifyAll(pages, "", { ...world, rules: simpleRules, local }, { ...options, ...changes }, signal);
}

async function verify(world: World, local: MemoryTree, changes: Partial<VerifyOptions> = {}) {
  const result = await drive(world.clock, start(world, local, changes));
  expect(leftovers(world)).toEqual(nothingLeft);
  expect(local).toMatchObject({ walking: 0, reading: 0 });
  return result;
}

/** Keys that differ, sorted. */
function differing({ ledger }: World): string[] {
  return ledger.failures.map(({ key }) => key).toSorted();
}

test("equal sides differ in nothing, and each object counts once with its proof", async () => {
  const { world, local } = setUp(["a", "b-c", "b/", "b/c", "d"], { pageKeys: () => 2 });
  const { sourceDigest } = await verify(world, local);
  expect(sourceDigest).toMatch(/^[0-9a-f]{64}$/);
  expect(differing(world)).toEqual([]);
  expect(world.ledger.counts).toMatchObject({
    listed: { objects: 5 },
    skipped: { objects: 5 },
    failed: { objects: 0 },
  });
  expect(world.ledger.verified).toEqual({ crc64: 4, md5: 0, lengthOnly: 0 });
});

test.each([
  ["missing", (local: MemoryTree) => local.files.delete("b"), "the file is missing"],
  ["longer", (local: MemoryTree) => local.files.set("b", Buffer.from("content of b and more")), "21 bytes"],
  ["different", (local: MemoryTree) => local.files.set("b", Buffer.from("content of B")), "CRC-64"],
  ["a directory", (local: MemoryTree) => local.directories.add("b"), "a directory stands where"],
])("a file that is %s is told", async (_name, change, message) => {
  const { world, local } = setUp(["a", "b", "c"]);
  change(local);
  await verify(world, local);
  expect(world.ledger.failures).toHaveLength(1);
  expect(world.ledger.failures[0]).toMatchObject({ key: "b", kind: "different" });
  expect(world.ledger.failures[0]?.message).toContain(message);
});

test("the run ends with as many differences as it may have, of objects and of files that are none", async () => {
  const { world, local } = setUp(["a", "b", "c", "d", "e"], { pageKeys: () => 2 });
  for (const key of ["a", "c", "e"]) local.files.delete(key);
  local.files.set("bb", Buffer.from("nobody's"));
  await expect(verify(world, local, { maxFailures: 2, concurrency: 1 })).rejects.toThrow(TooManyFailures);
  expect(differing(world)).toEqual(["a", "bb"]);
  expect(world.ledger.listingComplete).toBe(false);
});

test("an archived object without a file is none that is missing, unless its bucket lets it be read", async () => {
  const archive = () => {
    const { world, local } = setUp(["a", "b"]);
    world.bucket.put("b", "content of b", { storageClass: "Archive" });
    local.files.delete("b");
    return { world, local };
  };
  const skipping = archive();
  await verify(skipping.world, skipping.local, { unsupported: "skip" });
  expect([differing(skipping.world), skipping.world.ledger.counts.skipped.objects]).toEqual([[], 2]);
  const failing = archive();
  await verify(failing.world, failing.local);
  expect(failing.world.ledger.failures).toMatchObject([{ key: "b", kind: "unsupported" }]);
  const readable = archive();
  readable.world.source.readsArchive = true;
  await verify(readable.world, readable.local, { unsupported: "skip" });
  expect(readable.world.ledger.failures).toMatchObject([{ key: "b", kind: "different" }]);
});

test("files that the source does not have are told, wherever they stand in the order", async () => {
  const { world, local } = setUp(["b", "d/e", "f/"]);
  for (const path of ["a", "b0", "d-", "d/d", "d/f", "f/x", "z"]) local.files.set(path, Buffer.alloc(0));
  await verify(world, local);
  expect(differing(world)).toEqual(["a", "b0", "d-", "d/d", "d/f", "f/x", "z"]);
  expect(world.ledger.counts.failed.objects).toBe(0);
});

test("exactly the differences are told, for any two sides", async () => {
  const name = fc.array(fc.constantFrom("a", "b", "a-", "é", "\u{1f600}"), { minLength: 1, maxLength: 3 });
  const path = name.map((segments) => `${segments.join("/")}.f`);
  const side = fc.dictionary(path, fc.constantFrom("1", "2", "33"), { maxKeys: 15 });
  await fc.assert(
    fc.asyncProperty(side, side, fc.nat(), async (remote, present, seed) => {
      const random = seededRandom(seed);
      const world = makeWorld({ pageKeys: () => Math.floor(random() * 4) });
      const local = new MemoryTree();
      for (const [key, content] of Object.entries(remote)) world.bucket.put(key, content);
      for (const [key, content] of Object.entries(present)) local.files.set(key, Buffer.from(content));
      await verify(world, local);
      const all = [...new Set([...Object.keys(remote), ...Object.keys(present)])];
      expect(differing(world)).toEqual(all.filter((key) => remote[key] !== present[key]).toSorted());
    }),
    { numRuns: 100 },
  );
});

test("a directory that is missing is told", async () => {
  const { world, local } = setUp(["a", "d/"]);
  local.directories.clear();
  await verify(world, local);
  expect(differing(world)).toEqual(["d/"]);
});

test.each([
  ["md5", "md5"],
  ["etag", "md5"],
  ["none", "lengthOnly"],
] as const)("an object that has %s is proven by it", async (proof, by) => {
  const { world, local } = setUp(["a"]);
  world.bucket.put("a", "content of a", { proof });
  await verify(world, local);
  expect(world.ledger.verified[by]).toBe(1);
});

test("what the filter leaves out is compared on neither side", async () => {
  const { world, local } = setUp(["a", "b"]);
  local.files.set("a", Buffer.alloc(0));
  local.files.set("c", Buffer.alloc(0));
  await verify(world, local, { select: (relative) => relative === "b" });
  expect(differing(world)).toEqual([]);
  expect(world.ledger.counts.listed.objects).toBe(1);
});

test("without extras only what is listed is looked at, in any order", async () => {
  const { world, local } = setUp(["a", "b"]);
  local.files.set("c", Buffer.alloc(0));
  await verify(world, local, { extras: false, sorted: false });
  expect(differing(world)).toEqual([]);
});

test.each(["fail", "skip"] as const)("keys that cannot be files %s", async (unsupported) => {
  const { world, local } = setUp(["a"]);
  world.bucket.put("b/../c", "x");
  await verify(world, local, { unsupported });
  expect(differing(world)).toEqual(unsupported === "fail" ? ["b/../c"] : []);
});

test("a listing out of order is refused, because it cannot be compared", async () => {
  const { world, local } = setUp([]);
  const pages = () => pagesOf(pageOf(entryOf("b"), entryOf("a")));
  const parts = { ...world, rules: simpleRules, local };
  const running = verifyAll(pages, "", parts, options, never);
  await expect(drive(world.clock, running)).rejects.toMatchObject({ kind: "source" });
  expect(leftovers(world)).toEqual(nothingLeft);
});

test.each(["read", "inspect"])(
  "a target that fails at a %s ends the run after all comparisons have ended",
  async (at) => {
    const keys = Array.from({ length: 30 }, (_, i) => `k${10 + i}`);
    const { world, local } = setUp([...keys, "m/"]);
    const fail = async (path: string): Promise<void> => {
      await world.clock.sleep(10, never);
      if (path === "k20" || path === "m") throw new CopyError("volume", "I/O error");
    };
    if (at === "read") local.beforeRead = fail;
    else local.beforeInspect = fail;
    await expect(drive(world.clock, start(world, local))).rejects.toThrow("I/O error");
    expect(leftovers(world)).toEqual(nothingLeft);
    expect(local).toMatchObject({ walking: 0, reading: 0 });
  },
);

test("an object that is gone fails alone", async () => {
  const { world, local } = setUp(["a", "b"], {
    faults: ({ operation, key }) => (operation === "head" && key === "a" ? { kind: "missing" } : undefined),
  });
  await verify(world, local);
  expect(world.ledger.failures).toMatchObject([{ key: "a", kind: "missing" }]);
});

test("an abort at any moment ends with the signal's reason: never as if everything had been compared", async () => {
  for (let atMs = 0; atMs < 150; atMs += 1) {
    const { world, local } = setUp(["a", "b", "c", "d", "e", "f", "g/"], { pageKeys: () => 3 });
    local.files.set("z", Buffer.alloc(0));
    local.beforeRead = () => world.clock.sleep(10, never);
    local.beforeInspect = () => world.clock.sleep(10, never);
    const stop = new AbortController();
    const running = start(world, local, {}, stop.signal).then(
      () => "complete",
      (error: unknown) => error,
    );
    await world.clock.advance(atMs);
    stop.abort(new Error("stop"));
    const end = await drive(world.clock, running);
    if (end === "complete") expect(world.ledger.counts.skipped.objects).toBe(7);
    else expect(end).toEqual(new Error("stop"));
    expect(leftovers(world)).toEqual(nothingLeft);
    expect(local).toMatchObject({ walking: 0, reading: 0 });
  }
});

test("no more files are read at once than allowed", async () => {
  const { world, local } = setUp(Array.from({ length: 30 }, (_, i) => `k${10 + i}`));
  let most = 0;
  local.beforeRead = async () => {
    most = Math.max(most, local.reading);
    await world.clock.sleep(5, never);
  };
  await verify(world, local);
  expect(most).toBe(3);
});
