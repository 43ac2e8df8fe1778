/** The worker under the stock controller's loop: whatever happens to pods, what is published is complete and right. */
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { holdMs } from "../../src/cli/hold.ts";
import type { CliRun } from "../e2e/support/cli.ts";
import { bucketName, openScene, type Scene } from "../e2e/support/scene.ts";
import { differencesFrom } from "../e2e/support/tree.ts";
import { type Attempt, type LoopOptions, runLoop } from "./controller.ts";

const mib = 2 ** 20;
const prefix = "data/";

/** Small and large objects that take a while, however fast the machine is. */
async function openFilled(): Promise<Scene> {
  const scene = await openScene();
  const { emulator } = scene;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 1500, sizeBytes: { min: 0, max: 6000 } });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 2, sizeBytes: 5 * mib + 3 });
  emulator.addFaults(
    { kind: "delay", ms: 30, operation: "get" },
    { kind: "drip", bytesPerSecond: 300_000, operation: "get", key: /large/ },
  );
  return scene;
}

const args = ["--concurrency", "24", "--part-size", "256KiB"];
const started = (run: CliRun) => run.said(/listing complete|resuming|waiting|"outcome"|ended/).catch(() => {});

describe("pods that are ended at random", () => {
  const ways = ["evict", "kill", "forget"] as const;

  test("never publish a volume that is not complete", { timeout: 180_000 }, async () => {
    await using scene = await openFilled();
    const disturbances = 6;
    const disturb: LoopOptions["disturb"] = async ({ attempt, run }, disturbance) => {
      if (attempt > disturbances) return scene.emulator.clearFaults();
      await started(run);
      await setTimeout(Math.random() * 900);
      const way = ways[attempt % ways.length];
      if (way === "evict") await disturbance.evict(Math.random() < 0.5 ? 0 : 30_000);
      else if (way === "kill") await disturbance.kill();
      else disturbance.forget(setTimeout(1400));
    };

    const { attempts, published } = await runLoop({
      start: () => scene.start("populate", args, { without: ["fail-hold"] }),
      disturb,
      mostAttempts: 12,
    });

    expect(published).toBe(true);
    expect(attempts.filter(({ exitCode }) => exitCode === 0).length).toBe(1);
    for (const { exitCode } of attempts) expect([null, 143, 0]).toContain(exitCode);
    expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
  });

  test("in the last moment, while the volume is synced and cleaned up, publish all or nothing", async () => {
    await using scene = await openScene();
    scene.emulator.generate({ bucket: bucketName, prefix, count: 300, sizeBytes: { min: 0, max: 3000 } });
    const { published } = await runLoop({
      start: () => scene.start("populate", args, { without: ["fail-hold"] }),
      disturb: async ({ run, attempt }, disturbance) => {
        if (attempt > 5) return;
        const { counters } = scene.emulator;
        const before = counters.get;
        while (counters.get - before < 290 && run.child.exitCode === null) await setTimeout(2);
        await setTimeout(Math.random() * 60);
        await (attempt % 2 === 0 ? disturbance.kill() : disturbance.evict(30_000));
      },
      mostAttempts: 10,
    });
    expect(published).toBe(true);
    expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
  });

  test("a forgotten pod is waited for, so that two never write at the same time", async () => {
    await using scene = await openFilled();
    const successorWaits = Promise.withResolvers<void>();
    const { attempts, published } = await runLoop({
      start: () => scene.start("populate", args, { without: ["fail-hold"] }),
      disturb: async ({ attempt, run }, disturbance) => {
        await started(run);
        if (attempt === 1) return disturbance.forget(successorWaits.promise.then(() => setTimeout(1400)));
        scene.emulator.clearFaults();
        successorWaits.resolve();
      },
      mostAttempts: 3,
    });
    expect(published).toBe(true);
    const [, successor] = attempts;
    const waiting = successor?.lines.find(({ event }) => event === "waiting");
    expect(waiting?.reason).toContain("another process is working on");
    expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
  });
});

/** The log's line on what came before. */
function toldOf({ lines }: Attempt): Readonly<Record<string, unknown>> | undefined {
  return lines.find(({ event }) => event.includes("earlier attempt"));
}

function holdSecondsOf({ lines }: Attempt): number {
  return Number(lines.find(({ event }) => event.startsWith("holding"))?.seconds);
}

/** Most attempts that begin in any minute, if each begins when the hold of the one before is over. */
function mostInAMinute(holdsSeconds: readonly number[]): number {
  const starts = [0];
  for (const hold of holdsSeconds) starts.push((starts.at(-1) ?? 0) + hold);
  return Math.max(...starts.map((from) => starts.filter((at) => at >= from && at < from + 60).length));
}

describe("a permanent error", () => {
  const troubles = {
    "a bucket that does not exist": (scene: Scene) =>
      scene.start("populate", [], { ...held, bucket: "no-such-bucket" }),
    "a path with nothing below it": (scene: Scene) => scene.start("populate", [], { ...held, path: "no-such/" }),
    "an object that is archived": (scene: Scene) => scene.start("populate", [], { ...held, path: "archived/" }),
  } as const;
  const held = { without: ["fail-hold"] } as const;

  test.each(Object.entries(troubles))(
    "of %s makes at most 3 attempts a minute, and each tells of the last",
    async (_, start) => {
      await using scene = await openScene();
      scene.emulator.generate({ bucket: bucketName, prefix, count: 5, sizeBytes: 100 });
      scene.emulator.putObject(bucketName, "archived/a", "cold", { storageClass: "Archive" });
      // The holds are real, but cut short as an eviction would: their lengths are what the log promises.
      const { attempts, published } = await runLoop({
        start: () => start(scene),
        disturb: async ({ run }, disturbance) => {
          await run.said(/holding/);
          await disturbance.evict(30_000);
        },
        mostAttempts: 5,
      });

      expect(published).toBe(false);
      const holds = attempts.map(holdSecondsOf);
      expect(holds).toEqual([30, 60, 120, 240, 300]);
      expect(mostInAMinute(holds)).toBeLessThanOrEqual(3);
      const [first, ...others] = attempts;
      expect(first && toldOf(first)).toBeUndefined();
      for (const [index, attempt] of others.entries()) {
        const { exitCode, lines } = attempts[index] ?? { lines: [] };
        const reason = lines.find(({ event }) => event === "failed")?.reason;
        expect(toldOf(attempt)).toMatchObject({ lastExitCode: exitCode, lastFailure: reason, failedInARow: index + 1 });
      }
    },
  );

  test("is really held that long", async () => {
    await using scene = await openScene();
    const { attempts } = await runLoop({
      start: () => scene.start("populate", ["--fail-hold", "2s"], { path: "no-such/" }),
      mostAttempts: 3,
    });
    const starts = attempts.map(({ startedMs }) => startedMs);
    for (const [index, startedMs] of starts.slice(1).entries()) {
      expect(startedMs - (starts[index] ?? 0)).toBeGreaterThan(2000);
    }
  });

  test("is held twice as long each time, up to five minutes", () => {
    expect([1, 2, 3, 4, 5, 6, 50].map((inARow) => holdMs(30_000, true, inARow) / 1000)).toEqual([
      ...[30, 60, 120, 240, 300, 300, 300],
    ]);
  });

  test("that is mended at the source ends the loop, and the volume is complete", async () => {
    await using scene = await openScene();
    const { attempts, published } = await runLoop({
      start: () => scene.start("populate", [], { without: ["fail-hold"] }),
      disturb: async ({ run, attempt }, disturbance) => {
        if (attempt > 2) return;
        await run.said(/holding/);
        if (attempt === 2) scene.emulator.generate({ bucket: bucketName, prefix, count: 40, sizeBytes: 1000 });
        await disturbance.evict(30_000);
      },
      mostAttempts: 4,
    });
    expect([attempts.length, published]).toEqual([3, true]);
    expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
  });
});
