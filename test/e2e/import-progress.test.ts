/** The percentage that controllers read: of the claim, whichever pod is asked. */
import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { canAttachLoop, differenceFrom } from "../support/devices.ts";
import { type HttpRecorder, recordHttp } from "../support/http-recorder.ts";
import type { CliResult } from "./support/cli.ts";
import { imageKey, keptOn, openDeviceScene } from "./support/device-scene.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { numberOf, servedAt, valuesUntil } from "./support/served-metrics.ts";
import { differencesFrom } from "./support/tree.ts";

const uid = "4c0a8a2e-7d11-4d2c-9f0e-6f0f3c1a2b3d";
const series = `kubevirt_cdi_import_progress_total{ownerUID="${uid}"}`;
const serving = ["--owner-uid", uid, "--metrics-listen", "127.0.0.1:0"];

/** Kills a run once `enough` of it is seen, and lets another one go on; every percentage that was served meanwhile. */
async function killedAndGoneOnWith(
  scene: Scene,
  args: readonly string[],
  enough: (percent: number) => boolean | Promise<boolean>,
): Promise<{ readonly result: CliResult; readonly seen: readonly number[]; readonly last: number | undefined }> {
  await using gateway = await recordHttp();
  await using killed = scene.start("populate", [...args, ...serving]);
  const seen = await valuesUntil(await servedAt(killed), series, enough);
  killed.child.kill("SIGKILL");
  await killed.result;
  // A listing that takes a while, in which nothing is known of what is still to come.
  scene.emulator.addFaults({ kind: "delay", ms: 1500, operation: "list" });
  await using next = scene.start("populate", [...args, ...serving, "--metrics-push", gateway.url]);
  seen.push(...(await valuesUntil(await servedAt(next), series, (percent) => percent > 0)));
  return { result: await next.result, seen, last: lastOf(gateway) };
}

function lastOf({ received }: HttpRecorder): number | undefined {
  return numberOf(series, received.at(-1)?.body);
}

function expectRising(seen: readonly number[]): void {
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(seen.every((percent) => percent < 100)).toBe(true);
}

test.concurrent("does not fall when a killed run is gone on with, and is 100 only at the end", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 600, sizeBytes: 20_000 });
  const checkpoint = `${scene.target}/.oss-populator/checkpoint`;

  const { result, seen, last } = await killedAndGoneOnWith(scene, ["--throughput", "2"], (percent) => {
    return percent > 20 && existsSync(checkpoint);
  });

  expect([result.exitCode, result.report?.objects.resumed === 0]).toEqual([0, false]);
  expectRising(seen);
  expect(last).toBe(100);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
});

test.concurrent("is 100 for a volume that an earlier run completed", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 5, sizeBytes: 100 });
  await using gateway = await recordHttp();
  for (const _ of ["copied", "compared"]) {
    const result = await scene.run("populate", ["--owner-uid", uid, "--metrics-push", gateway.url]);
    expect([result.exitCode, lastOf(gateway)]).toEqual([0, 100]);
  }
});

describe.skipIf(!canAttachLoop)("of a block device", () => {
  const mib = 2 ** 20;

  test.concurrent("does not fall either", { timeout: 120_000 }, async () => {
    await using scene = await openDeviceScene(48 * mib, 64 * mib);
    const args = ["--part-size", "1MiB", "--throughput", "8"];

    const { result, seen, last } = await killedAndGoneOnWith(scene, args, async (percent) => {
      return percent > 20 && (await keptOn(scene.device, 64 * mib)) > 0;
    });

    expect([result.exitCode, result.report?.resumedFrom === null]).toEqual([0, false]);
    expectRising(seen);
    expect(last).toBe(100);
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
    expect(await scene.device.isZero(64 * mib - 65_536, 65_536)).toBe(true);
  });

  test.concurrent("is 100 for one that holds the object already", async () => {
    await using scene = await openDeviceScene(3 * mib, 8 * mib);
    await using gateway = await recordHttp();
    for (const _ of ["copied", "compared"]) {
      const result = await scene.run("populate", ["--owner-uid", uid, "--metrics-push", gateway.url]);
      expect([result.exitCode, lastOf(gateway)]).toEqual([0, 100]);
    }
  });
});
