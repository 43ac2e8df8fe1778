import fc from "fast-check";
import { expect, test } from "vitest";
import { TooManyFailures } from "../../src/engine/too-many-failures.ts";
import { seededRandom } from "../support/fake-clock.ts";
import { Run, type Trouble } from "./resumed-run.ts";
import { canGoOn, World } from "./resumed-world.ts";

const patience = 12;
const calm: Trouble = { fails: 0, corrupt: 0, changes: 0 };

test("killed at any moment and run again, nothing is passed over that was not on stable storage", {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(2 ** 30), async (seed) => {
      const random = seededRandom(seed);
      const world = new World(random);
      for (let attempt = 0; ; attempt++) {
        const trouble = attempt < patience ? anyTrouble(random) : calm;
        if (attempt === patience) for (const thing of world.things) if (thing.fate === "refused") thing.fate = "fine";
        expectClaimsHold(world);
        const run = new Run(world, random, trouble);
        const ended = await advance(run, attempt < patience ? Math.floor(random() * 200) : Number.POSITIVE_INFINITY);
        run.kill();
        if (ended && run.isComplete) {
          expectComplete(world, run);
          return;
        }
        expect(attempt).toBeLessThan(patience);
        world.disk.crash(random);
      }
    }),
    { numRuns: 120 },
  );
});

/** Whether the run came to its end within so many steps. */
async function advance(run: Run, steps: number): Promise<boolean> {
  try {
    for (let i = 0; i < steps; i++) if (!(await run.step())) return true;
    return false;
  } catch (error) {
    if (error instanceof TooManyFailures) return false;
    throw error;
  }
}

function anyTrouble(random: () => number): Trouble {
  const often = random() * 0.1;
  return { fails: random() * often, corrupt: random() * often, changes: random() * often };
}

/** What the checkpoint says is settled is whole; what it says is there of open objects is there, or their files are not. */
function expectClaimsHold(world: World): void {
  const state = world.loaded();
  if (!state) return;
  const open = new Map(state.open.map((entry) => [entry.position, entry]));
  for (const thing of world.things) {
    if (thing.key > String(state.frontier ?? "") || thing.fate === "skipped") continue;
    const extents = open.get(thing.key)?.extents;
    if (!extents) expect([thing.key, world.isWhole(thing)]).toEqual([thing.key, true]);
    else if (canGoOn(world.disk.read(thing.key), extents)) {
      for (const extent of extents) expect(world.crcOnDisk(thing.key, extent)).toBe(extent.crc64);
    }
  }
}

function expectComplete(world: World, run: Run): void {
  const copied = world.things.filter(({ fate }) => fate !== "skipped");
  for (const thing of copied) expect([thing.key, world.isWhole(thing)]).toEqual([thing.key, true]);
  expect(world.disk.names().toSorted()).toEqual(copied.map(({ key }) => key));
  const bytes = copied.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  expect(run.counts?.copied).toEqual({ objects: copied.length, bytes });
}
