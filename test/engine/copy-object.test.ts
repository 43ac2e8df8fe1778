import { expect, test } from "vitest";
import { type CopiedObject, copyObject, type ObjectParts, type Tracked } from "../../src/engine/copy-object.ts";
import { OpenList } from "../../src/engine/open-list.ts";
import { Planner } from "../../src/engine/plan.ts";
import type { ObjectEntry } from "../../src/types.ts";
import { leftovers, makeWorld, never, nothingLeft, type World, type WorldOptions } from "../support/engine-world.ts";
import { drive } from "../support/fake-clock.ts";
import type { Fault, PutOptions, SeenRequest } from "../support/memory-bucket.ts";
import { simpleRules } from "../support/sources.ts";

const large = Buffer.from(Array.from({ length: 500 }, (_, i) => (i * 7) & 255));
const small = Buffer.from("a small object");

function copy(
  world: World,
  entry: ObjectEntry,
  parts: Partial<ObjectParts> = {},
  signal: AbortSignal = never,
  tracked?: Tracked,
) {
  const planned = new Planner("", simpleRules, true).plan(entry);
  if (planned.status !== "task") throw new Error("not a task");
  const all = { ...world, rangeBytes: 32, lanes: 4, restarts: 3, ...parts };
  return copyObject(planned.task, all, signal, tracked);
}

async function copied(bytes: Uint8Array, options: WorldOptions = {}, put: PutOptions = {}) {
  const world = makeWorld(options);
  world.bucket.put("a", bytes, put);
  const work = copy(world, world.bucket.entry("a"));
  return { world, result: await drive(world.clock, work) };
}

async function failed(bytes: Uint8Array, options: WorldOptions = {}, put: PutOptions = {}) {
  const world = makeWorld(options);
  world.bucket.put("a", bytes, put);
  const work = copy(world, world.bucket.entry("a"));
  const error: unknown = await drive(world.clock, work).catch((reason: unknown) => reason);
  expect(leftovers(world)).toEqual(nothingLeft);
  expect(world.plane.volume.files.has("a")).toBe(false);
  return { world, error };
}

function expectInPlace({ plane, bucket }: World, { target, verification }: CopiedObject, by = "crc64"): void {
  const stored = bucket.stored("a");
  const file = plane.volume.files.get("a");
  expect(Buffer.from(file?.bytes ?? []).equals(stored.bytes)).toBe(true);
  expect(file?.modifiedMs).toBe(stored.modifiedMs);
  expect(target).toMatchObject({ sizeBytes: stored.bytes.length, modifiedMs: stored.modifiedMs });
  expect(verification).toBe(by);
}

/** One fault at the n-th GET. */
function faultAt(n: number, fault: Fault): (request: SeenRequest) => Fault | undefined {
  let gets = 0;
  return ({ operation }) => (operation === "get" && gets++ === n ? fault : undefined);
}

const always =
  (fault: Fault) =>
  ({ operation }: SeenRequest): Fault | undefined =>
    operation === "get" ? fault : undefined;

test.each([
  ["an empty object", Buffer.alloc(0), 1],
  ["a small object", small, 1],
  ["an object of exactly one range", large.subarray(0, 32), 1],
  ["an object of one range and a byte", large.subarray(0, 33), 2],
  ["a large object", large, 16],
] as const)("%s is copied whole and verified", async (_name, bytes, gets) => {
  const { world, result } = await copied(bytes);
  expectInPlace(world, result);
  expect(world.bucket.requests).toHaveLength(gets);
  expect(leftovers(world)).toEqual(nothingLeft);
});

test("no more ranges are open than there are lanes", async () => {
  const { world } = await copied(large);
  expect(world.bucket.mostOpen).toBe(4);
});

for (const [size, bytes] of [
  ["small", small],
  ["large", large],
] as const) {
  test(`a ${size} object that changed is copied anew, as one version`, async () => {
    for (let n = 0; n < (size === "small" ? 1 : 16); n++) {
      const { world, result } = await copied(bytes, { faults: faultAt(n, { kind: "overwritten" }) });
      expectInPlace(world, result);
    }
  });

  test(`a ${size} object that keeps changing is given up after the restarts`, async () => {
    const { error, world } = await failed(bytes, { faults: always({ kind: "overwritten" }) });
    expect(error).toMatchObject({ kind: "changed" });
    const heads = world.bucket.requests.filter(({ operation }) => operation === "head");
    expect(heads).toHaveLength(3);
  });

  test(`a ${size} object with one wrong bit is copied anew`, async () => {
    const { world, result } = await copied(bytes, { faults: faultAt(0, { kind: "flipped" }) });
    expectInPlace(world, result);
  });

  test(`a ${size} object that is always wrong is given up after the restarts`, async () => {
    const { error } = await failed(bytes, { faults: always({ kind: "flipped" }) });
    expect(error).toMatchObject({ kind: "corrupt" });
  });

  test(`a ${size} object that is gone fails`, async () => {
    const { error } = await failed(bytes, { faults: faultAt(0, { kind: "missing" }) });
    expect(error).toMatchObject({ kind: "missing" });
  });

  test(`passing failures of a ${size} object are retried`, async () => {
    const faults = ({ index }: SeenRequest): Fault | undefined =>
      index % 2 === 0 ? { kind: index % 4 === 0 ? "truncated" : "server" } : undefined;
    const { world, result } = await copied(bytes, { faults, retries: 50 });
    expectInPlace(world, result);
  });

  test.each([
    ["Content-MD5", "md5", "md5"],
    ["an ETag that is its MD5", "etag", "md5"],
    ["nothing but its length", "none", "lengthOnly"],
  ] as const)(`a ${size} object that has %s is verified by it`, async (_name, proof, by) => {
    const { world, result } = await copied(bytes, {}, { proof });
    expectInPlace(world, result, by);
  });

  test(`a ${size} object that contradicts its Content-MD5 is corrupt`, async () => {
    const { error } = await failed(bytes, { faults: always({ kind: "flipped" }) }, { proof: "md5" });
    expect(error).toMatchObject({ kind: "corrupt" });
  });

  test(`a ${size} object that contradicts an ETag that only looks like an MD5 has only its length`, async () => {
    const { result } = await copied(bytes, { faults: faultAt(0, { kind: "flipped" }) }, { proof: "etag" });
    expect(result.verification).toBe("lengthOnly");
  });

  test(`a failure of the target is no reason to copy a ${size} object anew`, async () => {
    for (const action of size === "small" ? (["whole"] as const) : (["open", "range", "settle"] as const)) {
      let faults = 0;
      const volumeFault = (at: string): Error | undefined => {
        if (at !== action) return undefined;
        faults++;
        return new Error("no space");
      };
      const { error } = await failed(bytes, { volumeFault });
      expect(error).toEqual(new Error("no space"));
      expect(faults).toBeLessThanOrEqual(4);
    }
  });

  test(`an abort at any moment ends a ${size} object with the signal's reason, and nothing is left`, async () => {
    for (let atMs = 0; atMs < 120; atMs += 3) {
      const faults = ({ index }: SeenRequest): Fault | undefined => (index % 5 === 1 ? { kind: "server" } : undefined);
      const world = makeWorld({ faults, mostRequests: 3 });
      world.bucket.put("a", bytes);
      const stop = new AbortController();
      const work = copy(world, world.bucket.entry("a"), {}, stop.signal);
      const result = work.then(
        () => "copied",
        (error: unknown) => error,
      );
      await world.clock.advance(atMs);
      stop.abort(new Error("stop"));
      const end = await drive(world.clock, result);
      if (end !== "copied") expect(end).toEqual(new Error("stop"));
      expect(world.plane.volume.files.has("a")).toBe(end === "copied");
      expect(leftovers(world)).toEqual(nothingLeft);
    }
  });
}

test("answers that contradict each other under one ETag restart the object", async () => {
  let gets = 0;
  const world = makeWorld({
    faults: ({ operation }) => {
      if (operation === "get" && gets++ === 7) {
        world.bucket.objects.set("a", { ...world.bucket.stored("a"), crc64: 1n });
      }
      return undefined;
    },
  });
  const { crc64 } = world.bucket.put("a", large);
  const work = copy(world, world.bucket.entry("a"), {
    source: {
      ...world.source,
      head: async (key, signal) => {
        world.bucket.objects.set("a", { ...world.bucket.stored("a"), crc64 });
        return world.source.head(key, signal);
      },
    } as World["source"],
  });
  const result = await drive(world.clock, work);
  expectInPlace(world, result);
  expect(world.plane.events).toEqual(["open a", "abandon a", "open a", "settle a"]);
});

test("the first failure of a range stops the others before they cost more requests", async () => {
  const huge = Buffer.alloc(32 * 1000);
  const { world, error } = await failed(huge, { faults: faultAt(10, { kind: "missing" }) });
  expect(error).toMatchObject({ kind: "missing" });
  expect(world.bucket.requests.length).toBeLessThan(20);
});

test("a version that grew beyond one range is copied in ranges, and the other way round", async () => {
  const world = makeWorld({
    faults: ({ index }) => {
      if (index === 0) world.bucket.put("a", large);
      if (index === 3) world.bucket.put("a", small);
      return undefined;
    },
  });
  world.bucket.put("a", small);
  const result = await drive(world.clock, copy(world, world.bucket.entry("a")));
  expectInPlace(world, result);
});

test("waiting for a restart is slow and then slower", async () => {
  const { world } = await failed(small, { faults: always({ kind: "flipped" }) });
  expect(world.clock.nowMs()).toBeGreaterThan(100);
});

test("what the plane holds back is received in ranges of its own, and no checkpoint vouches for it", async () => {
  const abort = new AbortController();
  const stopAtNinth = ({ index }: SeenRequest): undefined => {
    if (index === 8) abort.abort(new Error("stopped"));
  };
  const world = makeWorld({ heldBytes: 96, faults: stopAtNinth });
  world.bucket.put("a", large);
  const entry = world.bucket.entry("a");
  const list = new OpenList();
  const stopped = copy(world, entry, {}, abort.signal, { list, open: list.handOut(entry) });
  await expect(drive(world.clock, stopped)).rejects.toThrow("stopped");
  const left = list.snapshot();
  const kept = left?.open[0]?.extents ?? [];
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.every(({ start }) => start >= 96)).toBe(true);

  const resumed = new OpenList(100, left);
  const work = copy(world, entry, {}, never, { list: resumed, open: resumed.handOut(entry) });
  expectInPlace(world, await drive(world.clock, work));
});
