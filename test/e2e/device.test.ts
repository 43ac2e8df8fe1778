import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chown, symlink } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { attachLoop, canAttachLoop, differenceFrom } from "../support/devices.ts";
import { imageKey, openDeviceScene } from "./support/device-scene.ts";
import { mountTmpfs, notMounted } from "./support/mounts.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName } from "./support/scene.ts";
import { until } from "./support/waiting.ts";

const run = promisify(execFile);
const mib = 2 ** 20;
const parts = ["--part-size", "1MiB"];

/** Sizes of the object and the device, and bytes of a logical block. */
const sizes: readonly (readonly [string, number, number, 512 | 4096])[] = [
  ["an odd size", 5 * mib + 777, 8 * mib, 512],
  ["an odd size, in blocks of 4096 bytes", 5 * mib + 777, 8 * mib, 4096],
  ["a mebibyte and a byte", mib + 1, 8 * mib, 4096],
  ["less than a part", 300_001, 8 * mib, 4096],
  ["nothing at all", 0, 8 * mib, 512],
  ["the device, to its last byte", 8 * mib, 8 * mib, 512],
  ["the device, to its last byte, in blocks of 4096 bytes", 8 * mib, 8 * mib, 4096],
  ["a device that ends in the middle of a page", 8 * mib + 512, 8 * mib + 512, 512],
  ["all but a block of the device", 8 * mib - 512, 8 * mib, 512],
  ["all but the last 64 KiB of the device", 8 * mib - 65_536, 8 * mib, 4096],
  ["a device of less than a mebibyte", 500_000, 2 ** 19, 512],
];

describe.skipIf(!canAttachLoop)("a block device", () => {
  test.concurrent.each(sizes)("gets an object of %s from byte 0", async (_, objectBytes, deviceBytes, sectorSize) => {
    await using scene = await openDeviceScene(objectBytes, deviceBytes, { sectorSize });
    const { device } = scene;

    const result = await scene.run("populate", parts);

    expect(result).toMatchObject({ exitCode: 0, report: { durability: "device", objects: { listed: 1, copied: 1 } } });
    expect(result.report?.verified).toEqual({ crc64: 1, md5: 0, lengthOnly: 0 });
    expect(await differenceFrom(scene.bucket, imageKey, device)).toBeUndefined();
    expect(await device.isZero(objectBytes, deviceBytes - objectBytes)).toBe(true);
  });

  test.concurrent("gets an object from several threads, under a limit", async () => {
    await using scene = await openDeviceScene(12 * mib + 1, 16 * mib);
    const args = ["--threads", "3", "--throughput", "20", "--report", "-"];
    const result = await scene.run("populate", args, { without: ["report"] });
    expect(result).toMatchObject({ exitCode: 0 });
    expect(JSON.parse(result.stdout)).toMatchObject({ throughput: { limitBytesPerSecond: 20_000_000 } });
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
  });

  test.concurrent("is read back when only an MD5 can tell whether the object is right", async () => {
    await using scene = await openDeviceScene(3 * mib + 5, 8 * mib, { md5: true });
    scene.emulator.addFaults({ kind: "header", name: "x-oss-hash-crc64ecma", value: null });
    const result = await scene.run("populate", parts);
    expect(result).toMatchObject({ exitCode: 0, report: { verified: { crc64: 0, md5: 1, lengthOnly: 0 } } });
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
  });

  test.concurrent("is no root filesystem to process 1 of a container", async () => {
    await using scene = await openDeviceScene(2 * mib, 8 * mib);
    const wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"];
    expect(await scene.run("populate", parts, { wrapper })).toMatchObject({ exitCode: 0 });
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
  });

  test.concurrent("may be named by a symlink", async () => {
    await using scene = await openDeviceScene(2 * mib, 8 * mib);
    const target = `${scene.scratch.path}/disk-by-name`;
    await symlink(scene.device.path, target);
    expect(await scene.run("populate", parts, { target })).toMatchObject({ exitCode: 0 });
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
  });

  test.concurrent("is filled with what a symlink object leads to", async () => {
    await using scene = await openDeviceScene(2 * mib + 3, 8 * mib);
    scene.emulator.putObject(bucketName, "images/latest", "", { symlinkTarget: imageKey });
    expect(await scene.run("populate", parts, { path: "images/latest" })).toMatchObject({ exitCode: 0 });
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
  });

  test.concurrent("can be filled by whoever may open it", async (context) => {
    if (process.getuid?.() !== 0) return context.skip("needs root, to be someone else");
    await using scene = await openDeviceScene(2 * mib, 8 * mib);
    const wrapper = ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "--no-new-privs"];
    const traces = { report: "/dev/null", terminationLog: "/dev/null" };
    const args = ["--report", traces.report, "--termination-log", traces.terminationLog];
    const refused = await scene.run("populate", args, { wrapper });
    expect(refused.exitCode).toBe(5);
    expect(refused.stderr).toMatch(/refuses us: it belongs to uid 0, gid \d+, mode 0\d+; we run as uid 1234, gid 1234/);
    await chown(scene.device.path, 1234, 1234);
    try {
      expect(await scene.run("populate", args, { wrapper })).toMatchObject({ exitCode: 0 });
    } finally {
      await chown(scene.device.path, 0, 0);
    }
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
  });

  test.concurrent("looks blank until the object is complete and verified", async () => {
    await using scene = await openDeviceScene(8 * mib, 16 * mib);
    scene.emulator.addFaults({ kind: "delay", ms: 2000, operation: "get", nth: 8, times: 1 });
    await using running = scene.start("populate", [...parts, "--concurrency", "1"]);
    await until("bytes behind the first mebibyte", async () => !(await scene.device.isZero(5 * mib, mib)));
    expect(await scene.device.isZero(0, mib)).toBe(true);
    expect(await running.result).toMatchObject({ exitCode: 0 });
    expect(await scene.device.isZero(0, mib)).toBe(false);
  });

  test.concurrent("is looked at and not written to in a dry run", async () => {
    await using scene = await openDeviceScene(2 * mib, 8 * mib);
    const result = await scene.run("populate", ["--dry-run"]);
    expect(result).toMatchObject({ exitCode: 0, report: { dryRun: true, durability: "none" } });
    expect(result.report?.reason).toContain("1 object would be copied");
    expect(await scene.device.isZero(0, 8 * mib)).toBe(true);
    const large = await attachLoop(scene.scratch.path, mib);
    await using _ = large;
    expectRefusal(await scene.run("populate", ["--dry-run"], { target: large.path }), 5, "too small");
  });
});

describe.skipIf(!canAttachLoop)("a block device is refused before the first byte", () => {
  test.concurrent("when the path is a directory, even of one object", async () => {
    await using scene = await openDeviceScene(2 * mib, 8 * mib);
    for (const path of ["images/", "images", ""]) {
      expectRefusal(await scene.run("populate", [], { path }), 5, "exactly one object", "directory");
    }
    expectRefusal(await scene.run("verify", [], { path: "images/" }), 5, "exactly one object");
    expect(await scene.device.isZero(0, 8 * mib)).toBe(true);
    expect(scene.emulator.counters).toMatchObject({ get: 0 });
  });

  test.concurrent("when the object is larger", async () => {
    await using scene = await openDeviceScene(8 * mib + 1, 8 * mib);
    expectRefusal(await scene.run("populate"), 5, "too small", `${8 * mib}`, `${8 * mib + 1}`);
    expect(await scene.device.isZero(0, 8 * mib)).toBe(true);
    expect(scene.emulator.counters).toMatchObject({ get: 0 });
  });

  test.concurrent("when it is mounted", async (context) => {
    await using scene = await openDeviceScene(2 * mib, 16 * mib);
    await run("mkfs.ext4", ["-q", scene.device.path]);
    const mountPoint = await scene.scratch.directory("mounted");
    const isMounted = await run("mount", [scene.device.path, mountPoint]).catch(() => undefined);
    if (isMounted === undefined) return context.skip(notMounted);
    try {
      for (const args of [[], ["--allow-non-empty"], ["--dry-run"]]) {
        expectRefusal(await scene.run("populate", args), 5, scene.device.path, "in use");
      }
    } finally {
      await run("umount", [mountPoint]);
    }
    expect(scene.emulator.counters).toMatchObject({ get: 0 });
  });

  test.concurrent("when it holds data where a disk shows what it is, unless that is allowed", async () => {
    await using scene = await openDeviceScene(4 * mib, 8 * mib);
    const label = Buffer.from("precious");
    await scene.device.write(mib - 4096, label);

    expectRefusal(await scene.run("populate", parts), 5, scene.device.path, "holds data", "--allow-non-empty");

    expect(await scene.device.read(mib - 4096, label.length)).toEqual(label);
    expect(scene.emulator.counters).toMatchObject({ get: 0 });
    expect(await scene.run("populate", [...parts, "--allow-non-empty"])).toMatchObject({ exitCode: 0 });
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
  });

  test.concurrent("when it is read-only", async () => {
    await using scene = await openDeviceScene(2 * mib, 8 * mib, { readOnly: true });
    expectRefusal(await scene.run("populate"), 5, scene.device.path, "read-only");
    expect(scene.emulator.counters).toMatchObject({ get: 0 });
  });

  test.concurrent("by copy, whose target is a directory", async () => {
    await using scene = await openDeviceScene(2 * mib, 8 * mib);
    expectRefusal(await scene.run("copy"), 5, scene.device.path, "block device", "directory");
  });

  test.concurrent("with options that only directories have a use for, all of them named", async () => {
    await using scene = await openDeviceScene(2 * mib, 8 * mib);
    const env = { OSS_POPULATOR_FILE_MODE: "0600" };
    const args = ["--uid", "5", "--chown-root", "--include", "*.img", "--unsupported", "skip", "--allow-empty"];
    const result = await scene.run("populate", args, { env, without: ["fail-hold"] });
    expect(result.stderr).not.toContain("holding");
    expectRefusal(result, 2, "OSS_POPULATOR_FILE_MODE", "--uid", "--chown-root", "--include", "--unsupported");
    expect(result.stderr).toContain("--allow-empty is of no use");
    expect(await scene.device.isZero(0, 8 * mib)).toBe(true);
    expect(scene.emulator.counters).toMatchObject({ list: 0, get: 0 });
  });
});

describe.skipIf(!canAttachLoop)("a block device that fails", () => {
  test.concurrent("to take a write ends the run, and looks blank", async (context) => {
    await using scene = await openDeviceScene(2 * mib, 8 * mib);
    await using full = await mountTmpfs(scene.scratch.path, "size=3m");
    if (full === undefined) return context.skip(notMounted);
    await using small = await attachLoop(full.path, 16 * mib);
    scene.emulator.putObject(bucketName, "large", randomBytes(10 * mib));
    const result = await scene.run("populate", parts, { target: small.path, path: "large" });
    expect([result.exitCode, result.report?.reason]).toEqual([5, expect.stringMatching(/cannot (write|sync)/)]);
    expect(await small.isZero(0, mib)).toBe(true);
  });

  test.concurrent("its object's checksum has no beginning, and the next attempt completes it", async () => {
    await using scene = await openDeviceScene(6 * mib, 8 * mib);
    scene.emulator.addFaults({ kind: "flipBit", at: 1000, operation: "get" });
    const failed = await scene.run("populate", [...parts, "--retries", "1"]);
    expect(failed).toMatchObject({ exitCode: 6, report: { objects: { copied: 0, failed: 1 } } });
    expect(await scene.device.isZero(0, mib)).toBe(true);
    scene.emulator.clearFaults();

    const result = await scene.run("populate", parts);

    expect(result.exitCode).toBe(0);
    const told = result.lines.find(({ event }) => event.includes("earlier attempt"));
    expect(told).toMatchObject({ attempts: 1, lastExitCode: 6, failedInARow: 1, sameWork: true });
    expect(await differenceFrom(scene.bucket, imageKey, scene.device)).toBeUndefined();
    expect(await scene.device.isZero(6 * mib, 2 * mib)).toBe(true);
  });
});

describe.skipIf(!canAttachLoop)("a block device that holds the object already", () => {
  test.concurrent("is complete: a run may have died after its last step", async () => {
    await using scene = await openDeviceScene(3 * mib + 700, 8 * mib);
    expect(await scene.run("populate", parts)).toMatchObject({ exitCode: 0 });
    const { get } = scene.emulator.counters;
    for (const args of [["--dry-run"], []]) {
      const again = await scene.run("populate", args);
      expect(again).toMatchObject({ exitCode: 0, report: { objects: { listed: 1, copied: 0, skipped: 1 } } });
    }
    expect(scene.emulator.counters.get).toBe(get);
  });

  test.concurrent("is verified byte by byte", async () => {
    await using scene = await openDeviceScene(3 * mib + 700, 8 * mib);
    expect(await scene.run("verify")).toMatchObject({ exitCode: 6 });
    expect(await scene.run("populate", parts)).toMatchObject({ exitCode: 0 });
    expect(await scene.run("verify")).toMatchObject({ exitCode: 0, report: { verified: { crc64: 1 } } });
    await scene.device.write(3 * mib, randomBytes(512));
    const result = await scene.run("verify");
    expect(result).toMatchObject({ exitCode: 6, report: { failures: [{ key: imageKey, kind: "different" }] } });
  });

  test.concurrent("proves nothing where the service keeps no checksum", async () => {
    await using scene = await openDeviceScene(2 * mib, 8 * mib);
    expect(await scene.run("populate", parts)).toMatchObject({ exitCode: 0 });
    scene.emulator.addFaults({ kind: "header", name: "x-oss-hash-crc64ecma", value: null });
    expectRefusal(await scene.run("verify"), 6, "no checksum");
    expectRefusal(await scene.run("populate"), 5, "holds data", "no checksum");
  });
});
