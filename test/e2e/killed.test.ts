import { expect, test } from "vitest";
import {
  killFreshCopyEverywhere,
  killFreshEverywhere,
  killResumedCopyEverywhere,
  killResumedEverywhere,
} from "../soak/kill-points.ts";
import { killAndComplete, killSets } from "../soak/kills.ts";
import { killUnderLimit } from "../soak/limited-kill.ts";
import { checkpointIn, settledOf } from "./support/checkpoint.ts";
import { bucketName, openScene } from "./support/scene.ts";
import { differencesFrom } from "./support/tree.ts";
import { until } from "./support/waiting.ts";

const prefix = "data/";
const timeout = 300_000;

test("SIGKILL at ten random moments loses no byte and no more than what came after the last checkpoint", {
  timeout,
}, async () => {
  const { wrong, losses, withoutCheckpoint, kills } = await killAndComplete(killSets.mixed, 10, Math.random);
  expect(wrong).toEqual([]);
  expect(losses.some(({ lostBytes }) => lostBytes > 0)).toBe(true);
  expect(withoutCheckpoint).toBeLessThan(kills);
});

test.concurrent("killed in place of any change to an empty volume, a run leaves what the next one completes", {
  timeout,
}, async () => {
  const { wrong, tried } = await killFreshEverywhere({ first: 1 + Math.floor(Math.random() * 3), step: 3 });
  expect(wrong).toEqual([]);
  expect(tried).toBeGreaterThan(6);
});

test.concurrent("killed in place of any change to a volume that it goes on with, as well", { timeout }, async () => {
  const { wrong, tried } = await killResumedEverywhere({ first: 1 + Math.floor(Math.random() * 4), step: 4 });
  expect(wrong).toEqual([]);
  expect(tried).toBeGreaterThan(6);
});

test.concurrent("killed in place of any change, a copy leaves what the next one completes, and that one leaves nothing of ours", {
  timeout,
}, async () => {
  // The second change is made to the file by which the target was tested.
  const { wrong, tried } = await killFreshCopyEverywhere({ first: 2, step: 5 });
  expect(wrong).toEqual([]);
  expect(tried).toBeGreaterThan(4);
});

test.concurrent("killed in place of any change, so does a copy that goes on with large objects", {
  timeout,
}, async () => {
  const { wrong, tried } = await killResumedCopyEverywhere({ first: 1 + Math.floor(Math.random() * 4), step: 4 });
  expect(wrong).toEqual([]);
  expect(tried).toBeGreaterThan(5);
});

test.concurrent("runs that are killed before they save a checkpoint of their own leave the earlier one right", {
  timeout,
}, async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 4_000, sizeBytes: { min: 0, max: 900 } });
  emulator.addFaults({ kind: "delay", ms: 10, operation: "get" });
  let inARow = 0;
  for (let kills = 0; kills < 12 && inARow < 3; kills++) {
    const savedAtMs = (await checkpointIn(target))?.savedAtMs;
    await using run = scene.start("populate", ["--concurrency", "16"]);
    if (kills === 0) await until("a checkpoint", async () => settledOf(await checkpointIn(target)) > 0);
    else await run.said(/resuming/);
    const { get } = emulator.counters;
    const more = Math.floor(Math.random() * 60);
    await until("requests", () => emulator.counters.get >= get + more);
    run.child.kill("SIGKILL");
    await run.result;
    inARow = (await checkpointIn(target))?.savedAtMs === savedAtMs ? inARow + 1 : 0;
  }
  expect(inARow).toBe(3);
  emulator.clearFaults();

  expect(await scene.run("populate")).toMatchObject({ exitCode: 0, report: { objects: { copied: 4_000 } } });

  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
});

test.concurrent("under a limit, the run after a kill fetches no more than three seconds' worth again", {
  timeout,
}, async () => {
  const kill = { objects: 1, sizeBytes: 600e6, limitMbps: 100, killAtBytes: 450e6, complete: true };
  const { wrong, againBytes } = await killUnderLimit(kill);
  expect(wrong).toEqual([]);
  // The checkpoint that was due at 256 MiB is there.
  expect(againBytes).toBeLessThan(kill.killAtBytes);
});
