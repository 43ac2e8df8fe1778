import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { Device } from "../../src/volume/device.ts";
import { DeviceStateKeeper } from "../../src/volume/device-state.ts";
import { parseDeviceState } from "../../src/volume/device-state-format.ts";
import { canAttachLoop, differenceFrom, type LoopDevice } from "../support/devices.ts";
import type { CliResult, CliRun } from "./support/cli.ts";
import { type DeviceScene, imageKey, keptOn, openDeviceScene } from "./support/device-scene.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName } from "./support/scene.ts";
import { until as untilWithin } from "./support/waiting.ts";

const run = promisify(execFile);
const mib = 2 ** 20;
const placeBytes = 32 * 1024;
const parts = ["--part-size", "1MiB"];
const slowly = [...parts, "--concurrency", "4"];
const objectBytes = 24 * mib + 999;
const deviceBytes = 32 * mib;
const stateAt = deviceBytes - 2 * placeBytes;

/** Runs that write to a device of their own side by side take their time. */
const until = (what: string, isSo: () => boolean | Promise<boolean>): Promise<void> => untilWithin(what, isSo, 40_000);

async function kill(running: CliRun): Promise<void> {
  running.child.kill("SIGKILL");
  await running.result;
}

/** Fills half of a device and stops by SIGTERM, with all that was done kept on it. */
async function openStopped(): Promise<DeviceScene> {
  const scene = await openDeviceScene(objectBytes, deviceBytes);
  try {
    scene.emulator.addFaults({ kind: "delay", ms: 60_000, operation: "get", nth: 13, every: 1 });
    await using running = scene.start("populate", slowly);
    await until("requests", () => scene.emulator.counters.get > 14);
    process.kill(running.pid, "SIGTERM");
    expect(await running.result).toMatchObject({ exitCode: 143, report: { outcome: "interrupted" } });
    scene.emulator.clearFaults();
    return scene;
  } catch (error) {
    await scene[Symbol.asyncDispose]();
    throw error;
  }
}

async function expectComplete({ bucket, device }: DeviceScene, result: CliResult): Promise<void> {
  expect([result.exitCode, result.report?.reason]).toEqual([0, expect.any(String)]);
  const sizeBytes = bucket.get(imageKey)?.sizeBytes ?? 0;
  expect(await differenceFrom(bucket, imageKey, device)).toBeUndefined();
  expect(await device.isZero(sizeBytes, deviceBytes - sizeBytes)).toBe(true);
}

function expectStartedOver(result: CliResult, reason: RegExp): void {
  expect(result.report).toMatchObject({ resumedFrom: null });
  const told = result.lines.filter(({ event }) => event === "starting over");
  expect(told.map((line) => line.reason)).toEqual([expect.stringMatching(reason)]);
}

describe.skipIf(!canAttachLoop)("an object on its way to a device", { timeout: 120_000 }, () => {
  test("goes on after kills where the state on the device says, and fetches little again", {
    timeout: 120_000,
  }, async () => {
    const sizeBytes = 192 * mib;
    const device = { bytes: 256 * mib };
    await using scene = await openDeviceScene(sizeBytes, device.bytes, { sectorSize: 4096 });
    const { emulator } = scene;
    const at = device.bytes - 2 * placeBytes;
    let kept = 0;
    for (const more of [24, 24]) {
      await using running = scene.start("populate", [...parts, "--throughput", "16"]);
      const wanted = kept + more * mib;
      await until("extents", async () => (await keptOn(scene.device, device.bytes)) > wanted);
      await kill(running);
      expect(await scene.device.isZero(0, mib)).toBe(true);
      expect(await keptOn(scene.device, device.bytes)).toBeGreaterThan(kept);
      kept = await keptOn(scene.device, device.bytes);
    }
    await until("silence", () => emulator.counters.openConnections === 0);
    const before = emulator.counters.objectBytesSent;

    const result = await scene.run("populate", parts);

    expect(result).toMatchObject({ exitCode: 0, report: { verified: { crc64: 1 }, durability: "device" } });
    expect(Date.parse(result.report?.resumedFrom ?? "")).toBeGreaterThan(
      Date.parse(result.report?.firstStartedAt ?? ""),
    );
    expect(result.lines.find(({ event }) => event === "resuming")).toMatchObject({ bytes: kept });
    const retriedBytes = (result.report?.requests.retried ?? 0) * mib;
    expect(emulator.counters.objectBytesSent - before).toBeLessThanOrEqual(sizeBytes - kept + retriedBytes);
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
    expect(await scene.device.isZero(sizeBytes, mib)).toBe(true);
    expect(await scene.device.isZero(at, 2 * placeBytes)).toBe(true);
  });

  test.concurrent("keeps on SIGTERM what is done, but for its first mebibyte", async () => {
    await using scene = await openStopped();
    const kept = await keptOn(scene.device, deviceBytes);
    expect(kept).toBeGreaterThan(4 * mib);
    expect(kept % mib).toBe(0);
    const before = scene.emulator.counters.objectBytesSent;

    const result = await scene.run("populate", parts);

    await expectComplete(scene, result);
    expect(scene.emulator.counters.objectBytesSent - before).toBe(objectBytes - kept);
    expect(result.lines.find(({ event }) => event === "resuming")).toMatchObject({ bytes: kept });
  });

  test.concurrent("remembers an attempt that failed before its first byte, and goes on after it", async () => {
    await using scene = await openStopped();
    const kept = await keptOn(scene.device, deviceBytes);
    const held = { bucket: "no-such-bucket" };
    for (const _ of [1, 2]) {
      expect(await scene.run("populate", [...parts, "--fail-hold", "1ms"], held)).toMatchObject({ exitCode: 3 });
    }
    expectRefusal(await scene.run("populate", [...parts], held), 3, "no-such-bucket"); // not held, not told
    const result = await scene.run("populate", parts);
    const told = result.lines.find(({ event }) => event.includes("earlier attempt"));
    expect(told).toMatchObject({ attempts: 3, lastExitCode: 3, failedInARow: 2 });
    expect(told?.lastFailure).toContain("no-such-bucket");
    expect(result.lines.find(({ event }) => event === "resuming")).toMatchObject({ bytes: kept });
    await expectComplete(scene, result);
  });

  test.concurrent("leaves a blank device blank if it fails before its first byte", async () => {
    await using scene = await openDeviceScene(objectBytes, deviceBytes);
    const result = await scene.run("populate", [...parts, "--fail-hold", "1ms"], { bucket: "no-such-bucket" });
    expectRefusal(result, 3, "no-such-bucket");
    expect(await scene.device.isZero(0, deviceBytes)).toBe(true);
  });

  test.concurrent.each([
    ["--no-resume", [], /--no-resume/],
    ["--resume-within", ["1ms"], /--resume-within/],
  ])("starts over with %s", async (option, values, reason) => {
    await using scene = await openStopped();
    const result = await scene.run("populate", [...parts, option, ...values]);
    expectStartedOver(result, reason);
    await expectComplete(scene, result);
  });

  test.concurrent("starts over when it has changed since", async () => {
    await using scene = await openStopped();
    scene.emulator.replaceObject(bucketName, imageKey, 5 * mib + 5);
    const result = await scene.run("populate", parts);
    expectStartedOver(result, /has changed/);
    await expectComplete(scene, result);
  });

  test.concurrent("starts over when it changes on the way", async () => {
    await using scene = await openDeviceScene(objectBytes, deviceBytes);
    scene.emulator.addFaults({ kind: "changeEtag", operation: "get", nth: 9, sizeBytes: 9 * mib + 1 });
    await expectComplete(scene, await scene.run("populate", slowly));
  });

  test.concurrent("that grows into the state on the way is left to another run", async () => {
    await using scene = await openDeviceScene(objectBytes, deviceBytes);
    scene.emulator.addFaults({ kind: "changeEtag", operation: "get", nth: 9, sizeBytes: deviceBytes - 5 });
    expectRefusal(await scene.run("populate", slowly), 5, `${deviceBytes - 5} bytes`, "another run");
    expect(await scene.device.isZero(0, mib)).toBe(true);
    const result = await scene.run("populate", parts);
    expectStartedOver(result, /last 64 KiB/);
    await expectComplete(scene, result);
  });

  test.concurrent("that is another than before starts over", async () => {
    await using scene = await openStopped();
    scene.emulator.putObject(bucketName, "images/other", randomBytes(2 * mib));
    const result = await scene.run("populate", parts, { path: "images/other" });
    expect(result.exitCode).toBe(0);
    expectStartedOver(result, /another one/);
    expect(await differenceFrom(scene.bucket, "images/other", scene.device)).toBeUndefined();
    expect(await scene.device.isZero(stateAt, 2 * placeBytes)).toBe(true);
  });

  test.concurrent("that was deleted since is no success", async () => {
    await using scene = await openStopped();
    scene.emulator.addFaults({ kind: "status", status: 404, ossCode: "NoSuchKey", operation: "get" });
    expectRefusal(await scene.run("populate", parts), 4, imageKey);
    expect(await scene.device.isZero(0, mib)).toBe(true);
  });

  test.concurrent("starts over where it leaves no room for a state, and says so before", async () => {
    await using scene = await openDeviceScene(8 * mib - 65_535, 8 * mib);
    scene.emulator.addFaults({ kind: "delay", ms: 60_000, operation: "get", nth: 5, every: 1 });
    await using running = scene.start("populate", slowly);
    await until("bytes", async () => !(await scene.device.isZero(mib, 2 * mib)));
    process.kill(running.pid, "SIGTERM");
    const stopped = await running.result;
    expect(stopped.exitCode).toBe(143);
    expect(stopped.lines.map(({ reason }) => reason)).toContain("the object reaches into its last 64 KiB");
    scene.emulator.clearFaults();
    const result = await scene.run("populate", parts);
    expect(result).toMatchObject({ exitCode: 0, report: { resumedFrom: null } });
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
  });

  const nodes = [["the same", false] as const, ["another", true] as const];

  test.concurrent.each(nodes)("is waited for by a second process with %s device node", async (_, another) => {
    await using scene = await openDeviceScene(objectBytes, deviceBytes);
    const target = another ? `${scene.scratch.path}/node` : scene.device.path;
    if (another) await run("cp", ["--archive", scene.device.path, target]);
    scene.emulator.addFaults({ kind: "delay", ms: 500, operation: "get" });
    await using first = scene.start("populate", [...parts, "--concurrency", "1"]);
    await until("bytes", async () => !(await scene.device.isZero(mib, mib)));
    await using second = scene.start("populate", parts, { target });
    await second.said(/another process is working on/);
    scene.emulator.clearFaults();
    await kill(first);
    await expectComplete(scene, await second.result);
  });
});

describe.skipIf(!canAttachLoop)("a state on a device", { timeout: 120_000 }, () => {
  const damages: readonly (readonly [string, RegExp, (device: LoopDevice) => Promise<void>])[] = [
    ["damaged", /damaged: its checksum is wrong/, (device) => both(device, 100, Buffer.from("x"))],
    [
      "of a later version",
      /format 9, newer/,
      (device) => both(device, "oss-populator.device/v".length, Buffer.from("9")),
    ],
  ];

  test.concurrent.each(damages)("that is %s is named and not trusted", async (_, reason, damage) => {
    await using scene = await openStopped();
    await damage(scene.device);
    const result = await scene.run("populate", parts);
    expectStartedOver(result, reason);
    await expectComplete(scene, result);
  });

  test.concurrent("that was cut short leaves the one before", async () => {
    await using scene = await openStopped();
    const places = await Promise.all([0, 1].map((i) => scene.device.read(stateAt + i * placeBytes, placeBytes)));
    const [newer] = places
      .map((bytes, i) => ({ found: parseDeviceState(bytes), i }))
      .toSorted((a, b) => sequenceOf(b.found) - sequenceOf(a.found));
    await scene.device.write(stateAt + (newer?.i ?? 0) * placeBytes + 512, Buffer.alloc(512, 1));
    await expectComplete(scene, await scene.run("populate", parts));
  });

  test.concurrent("has no place where somebody else's data lies, which stay", async () => {
    await using scene = await openDeviceScene(objectBytes, deviceBytes);
    const foreign = randomBytes(4096);
    await scene.device.write(deviceBytes - 4096, foreign);
    const result = await scene.run("populate", parts);
    expect(result.exitCode).toBe(0);
    expect(result.lines.map(({ reason }) => reason)).toContain("its last 64 KiB hold data of somebody else");
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
    expect(await scene.device.read(deviceBytes - 4096, 4096)).toEqual(foreign);
  });

  test.concurrent("is no licence to overwrite what somebody else has written at the beginning since", async () => {
    await using scene = await openStopped();
    const foreign = randomBytes(512);
    await scene.device.write(0, foreign);
    const end = await scene.device.read(stateAt, 2 * placeBytes);
    expectRefusal(await scene.run("populate", [...parts, "--fail-hold", "1ms"]), 5, "holds data");
    expect(await scene.device.read(0, 512)).toEqual(foreign);
    expect(await scene.device.read(stateAt, 2 * placeBytes)).toEqual(end);
    const result = await scene.run("populate", [...parts, "--allow-non-empty"]);
    expectStartedOver(result, /something else has written/);
    await expectComplete(scene, result);
  });

  test.concurrent.each([
    ["torn", 5 * 4096],
    ["complete", mib],
  ])("that says that the last step had begun explains a beginning that is %s", async (_, bytes) => {
    await using scene = await openStopped();
    {
      await using device = await Device.open(scene.device.path, "fill");
      await (await DeviceStateKeeper.reopen(device))?.finishing();
    }
    const [first = Buffer.alloc(0)] = scene.bucket.get(imageKey)?.content.slices(0, bytes) ?? [];
    await scene.device.write(0, first);
    await expectComplete(scene, await scene.run("populate", parts));
  });
});

function both(device: LoopDevice, at: number, bytes: Buffer): Promise<void> {
  return [0, placeBytes].reduce(
    (before, place) => before.then(() => device.write(stateAt + place + at, bytes)),
    Promise.resolve(),
  );
}

function sequenceOf(found: ReturnType<typeof parseDeviceState>): number {
  return found.status === "ours" ? found.state.sequence : -1;
}
