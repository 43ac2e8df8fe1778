import fc from "fast-check";
import { expect, test } from "vitest";
import type { OpenEntry } from "../../src/engine/checkpoint.ts";
import { createDecision } from "../../src/engine/decide-copy.ts";
import { UnfinishedObjects } from "../../src/engine/unfinished-objects.ts";
import type { FileTarget } from "../../src/types.ts";
import { expectCopied, fill, mixed } from "../support/copied.ts";
import { copyOptions, copyWorld, makeWorld, startCopy, type World } from "../support/engine-world.ts";
import { drive, seededRandom } from "../support/fake-clock.ts";
import type { Fault, SeenRequest } from "../support/memory-bucket.ts";
import { simpleRules } from "../support/sources.ts";

const decide = createDecision({ overwrite: "always", mtime: true });

interface Left {
  readonly world: World;
  readonly saved: readonly OpenEntry[];
}

/** A run that goes on with what another has left on the volume, and breaks a rule if it begins a file that is vouched for. */
function worldAfter(left: Left | undefined, faults: (request: SeenRequest) => Fault | undefined) {
  const unfinished = new UnfinishedObjects(copyOptions.rangeBytes, left?.saved);
  let saved = left?.saved ?? [];
  const save = async (open: readonly OpenEntry[]): Promise<void> => {
    saved = open;
  };
  const world = makeWorld({ staged: true, faults, keeper: { unfinished, save } });
  const { plane } = world;
  const { openFile } = plane;
  plane.openFile = (target: FileTarget) => {
    const claimed = saved.find(({ entry }) => simpleRules.versionOf(entry) === target.version);
    expect(claimed?.extents ?? []).toEqual([]);
    return openFile.call(plane, target);
  };
  if (left) {
    for (const [key, stored] of left.world.bucket.objects) world.bucket.objects.set(key, stored);
    for (const [path, file] of left.world.plane.volume.files) plane.volume.files.set(path, file);
    for (const path of left.world.plane.volume.directories) plane.volume.directories.add(path);
    // Under its lock a run first removes what is not vouched for.
    const kept = new Set(left.saved.map(({ entry }) => simpleRules.versionOf(entry)));
    for (const [place, bytes] of left.world.plane.volume.leftFiles) {
      if (kept.has(place.split(" ")[1] ?? "")) plane.volume.leftFiles.set(place, bytes);
    }
  }
  return { world, saved: () => saved };
}

test("killed at any moment, under any faults, the next runs go on, and every file is right", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 4 }), async (seed, kills) => {
      const random = seededRandom(seed);
      const faults = ({ operation }: SeenRequest): Fault | undefined => {
        if (operation !== "get" || random() > 0.05) return undefined;
        return { kind: random() < 0.5 ? "flipped" : "server" };
      };
      let left: Left | undefined;
      for (const killAfterMs of kills) {
        const { world, saved } = worldAfter(left, faults);
        if (!left) fill(world);
        if (left && random() < 0.3) world.bucket.put("huge", Buffer.alloc(700 + kills.length, 3));
        const stop = new AbortController();
        const running = startCopy(world, { options: { decide }, signal: stop.signal }).catch(() => {});
        for (let atMs = 0; atMs < killAfterMs; atMs += 20) {
          await world.clock.advance(20);
          if (random() < 0.2) void world.parts.publisher?.flush().catch(() => {});
        }
        world.plane.kill();
        const leftFiles = new Map(world.plane.volume.leftFiles);
        const files = new Map(world.plane.volume.files);
        const before = saved();
        stop.abort(new Error("killed"));
        await drive(world.clock, running);
        world.plane.volume.leftFiles.clear();
        for (const [place, bytes] of leftFiles) world.plane.volume.leftFiles.set(place, bytes);
        world.plane.volume.files.clear();
        for (const [path, file] of files) world.plane.volume.files.set(path, file);
        left = { world, saved: before };
      }
      const { world } = worldAfter(left, () => undefined);
      if (!left) fill(world);
      await copyWorld(world, { options: { decide } });
      expectCopied(world);
      expect([...world.plane.volume.leftFiles.keys(), ...world.plane.volume.stagedFiles.keys()]).toEqual([]);
      expect(world.parts.publisher?.isEmpty).toBe(true);
      expect(world.ledger.counts.failed.objects).toBe(0);
    }),
    { numRuns: 150 },
  );
});

test("a large object goes on with its missing ranges, and what is unchanged is not fetched", async () => {
  const first = worldAfter(undefined, () => undefined);
  fill(first.world);
  const stop = new AbortController();
  const running = startCopy(first.world, { options: { decide, concurrency: 2 }, signal: stop.signal });
  const ended = running.catch((error: unknown) => error);
  const { requests } = first.world.bucket;
  while (requests.filter(({ key }) => key === "huge").length < 12) await first.world.clock.advance(1);
  stop.abort(new Error("stop"));
  expect(await drive(first.world.clock, ended)).toEqual(new Error("stop"));
  await drive(first.world.clock, first.world.parts.publisher?.last() ?? Promise.resolve());
  const extents = first.saved().flatMap((open) => open.extents);
  const kept = extents.reduce((sum, { length }) => sum + length, 0);
  expect(kept).toBeGreaterThanOrEqual(8 * 32);
  const left = first.saved().map(({ entry }) => entry.key);
  const leftBytes = first.saved().reduce((sum, { entry }) => sum + entry.sizeBytes, 0);

  const { world } = worldAfter({ world: first.world, saved: first.saved() }, () => undefined);
  await copyWorld(world, { options: { decide } });

  expectCopied(world);
  const gets = world.bucket.requests.filter(({ operation }) => operation === "get");
  expect([...new Set(gets.map(({ key }) => key))].toSorted()).toEqual(left);
  expect(gets.length).toBeLessThanOrEqual(Math.ceil((leftBytes - kept) / 32) + left.length);
  expect(world.ledger.counts.skipped.objects).toBe(Object.keys(mixed).length - left.length);
});

test("an object that changed starts over, and what is left of its old version goes", async () => {
  const first = worldAfter(undefined, () => undefined);
  fill(first.world, { huge: 900, gone: 900 });
  const stop = new AbortController();
  const running = startCopy(first.world, { options: { decide }, signal: stop.signal });
  const ended = running.catch(() => {});
  while (first.world.bucket.requests.length < 30) await first.world.clock.advance(1);
  stop.abort(new Error("stop"));
  await drive(first.world.clock, ended);
  await drive(first.world.clock, first.world.parts.publisher?.last() ?? Promise.resolve());
  expect(first.saved().map(({ entry }) => entry.key)).toEqual(["gone", "huge"]);
  expect(first.world.plane.volume.leftFiles.size).toBe(2);
  first.world.bucket.put("huge", Buffer.alloc(901, 5));
  first.world.bucket.objects.delete("gone");

  const { world } = worldAfter({ world: first.world, saved: first.saved() }, () => undefined);
  await copyWorld(world, { options: { decide } });

  expectCopied(world, ["huge"]);
  expect([...world.plane.volume.files.keys()]).toEqual(["huge"]);
  expect([...world.plane.volume.leftFiles.keys()]).toEqual([]);
});

test("a version that comes while an object is copied is staged under a name of its own", async () => {
  let overwritten = false;
  const { world, saved } = worldAfter(undefined, ({ operation, start }) => {
    if (operation !== "get" || start < 300 || overwritten) return undefined;
    overwritten = true;
    return { kind: "overwritten" };
  });
  fill(world, { huge: 900 });
  await copyWorld(world, { options: { decide } });
  expectCopied(world);
  expect(saved()).toEqual([]);
  expect(world.plane.events.filter((event) => event === "open huge")).toHaveLength(2);
});
