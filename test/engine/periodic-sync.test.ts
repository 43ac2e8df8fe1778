import { expect, test } from "vitest";
import { PeriodicSync } from "../../src/engine/periodic-sync.ts";
import { CopyError } from "../../src/errors.ts";
import { copyWorld, leftovers, makeWorld, never, nothingLeft, type World } from "../support/engine-world.ts";

/** A world with many objects, and syncs that are due after every ten. */
function makeSynced(sync: (world: World) => Promise<void>) {
  const world = makeWorld();
  for (let i = 0; i < 200; i++) world.bucket.put(`key-${i}`, "content");
  const ports = {
    sync: () => sync(world),
    done: () => ({ objects: world.ledger.counts.copied.objects, bytes: 0 }),
    clock: world.clock,
  };
  const limits = { everyMs: 1e9, everyBytes: 1e9, everyObjects: 10 };
  return { world, syncing: new PeriodicSync(ports, limits) };
}

test("where no checkpoint is kept the volume is synced all the same while objects are copied", async () => {
  const copiedAt: number[] = [];
  const { world, syncing } = makeSynced(async ({ ledger, clock }) => {
    copiedAt.push(ledger.counts.copied.objects);
    await clock.sleep(1, never);
  });

  await copyWorld(world, { parts: { syncing } });

  expect(copiedAt.length).toBeGreaterThan(2);
  expect(copiedAt.at(-1)).toBeLessThanOrEqual(200);
  expect(leftovers(world)).toEqual(nothingLeft);
});

test("a sync that fails ends the run, and is not tried again", async () => {
  let syncs = 0;
  const { world, syncing } = makeSynced(async () => {
    syncs++;
    throw new CopyError("volume", "the disk is broken");
  });

  await expect(copyWorld(world, { parts: { syncing } })).rejects.toMatchObject({ kind: "volume" });

  expect(syncs).toBe(1);
  expect(leftovers(world)).toEqual(nothingLeft);
});
