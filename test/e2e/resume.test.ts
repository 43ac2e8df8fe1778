import { open, readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { checkpointIn, extentBytes, stateName as state } from "./support/checkpoint.ts";
import type { CliResult, CliRun } from "./support/cli.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom } from "./support/tree.ts";
import { countNames, until } from "./support/waiting.ts";

const prefix = "data/";
const mib = 2 ** 20;

async function openFilled(count = 400): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count, sizeBytes: { min: 0, max: 900 } });
  return scene;
}

/** Starts a populate, sends SIGTERM once it has made some files, and waits for its end. */
async function stopHalfWay(scene: Scene): Promise<CliResult> {
  // From some request on answers do not come in time.
  const { get } = scene.emulator.counters;
  scene.emulator.addFaults({ kind: "delay", ms: 60_000, operation: "get", nth: 60, every: 1 });
  await using run = scene.start("populate", ["--concurrency", "8"]);
  await until("requests", () => scene.emulator.counters.get - get > 60);
  await until("files", async () => (await countNames(`${scene.target}/small`)) > 50);
  process.kill(run.pid, "SIGTERM");
  const result = await run.result;
  expect(result.exitCode).toBe(143);
  scene.emulator.clearFaults();
  return result;
}

function expectStartedOver(result: CliResult, reason: RegExp): void {
  expect(result).toMatchObject({ exitCode: 0, report: { resumedFrom: null, objects: { resumed: 0 } } });
  const told = result.lines.filter(({ event }) => event === "starting over");
  expect(told.map((line) => line.reason)).toEqual([expect.stringMatching(reason)]);
}

/** When it is over, all that was sent to the run is counted. */
async function kill({ emulator }: Scene, run: CliRun): Promise<void> {
  run.child.kill("SIGKILL");
  await run.result;
  await until("silence", () => emulator.counters.openConnections === 0);
}

test.concurrent("a large object that was killed half-way goes on where the checkpoint says", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  const sizeBytes = 128 * mib + 17;
  emulator.generate({ bucket: bucketName, prefix, count: 1, sizeBytes });
  {
    await using run = scene.start("populate", ["--part-size", "1MiB", "--throughput", "8"]);
    await until("extents", async () => extentBytes(await checkpointIn(target)) > 16 * mib);
    await kill(scene, run);
  }
  const kept = extentBytes(await checkpointIn(target));
  const before = emulator.counters.objectBytesSent;

  const result = await scene.run("populate", ["--part-size", "1MiB"]);

  expect(result).toMatchObject({ exitCode: 0, report: { verified: { crc64: 1 } } });
  expect(result.report?.resumedFrom).not.toBeNull();
  expect(emulator.counters.objectBytesSent - before).toBeLessThanOrEqual(sizeBytes - kept);
  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
});

test.concurrent("a file that is shorter than its kept parts is found out, and the object starts over", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix, count: 1, sizeBytes: 32 * mib });
  emulator.addFaults({ kind: "delay", ms: 300, operation: "get" });
  {
    await using run = scene.start("populate", ["--part-size", "1MiB", "--concurrency", "4"]);
    await until("bytes", () => emulator.counters.objectBytesSent > 8 * mib);
    process.kill(run.pid, "SIGTERM");
    await run.result;
  }
  const checkpoint = await checkpointIn(target);
  expect(extentBytes(checkpoint)).toBeGreaterThan(0);
  const path = `${target}/${checkpoint?.open[0]?.entry.key.slice(prefix.length)}`;
  {
    await using file = await open(path, "r+");
    await file.truncate(4096);
  }
  emulator.clearFaults();

  expect(await scene.run("populate", ["--part-size", "1MiB"])).toMatchObject({ exitCode: 0 });

  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
});

test.concurrent("after SIGTERM another run goes on, and the counts carry on", async () => {
  await using scene = await openFilled();
  const stopped = await stopHalfWay(scene);
  const before = scene.emulator.counters.get;

  const result = await scene.run("populate");

  const { resumed = 0 } = result.report?.objects ?? {};
  expect(result).toMatchObject({ exitCode: 0, report: { objects: { listed: 400, copied: 400, failed: 0 } } });
  expect(resumed).toBe(stopped.report?.objects.copied);
  expect(resumed).toBeGreaterThan(30);
  const { retried = 0 } = result.report?.requests ?? {};
  expect(scene.emulator.counters.get - before).toBeLessThanOrEqual(400 - resumed + retried);
  expect(Object.values(result.report?.verified ?? {}).reduce((a, b) => a + b)).toBe(400);
  expect(Date.parse(result.report?.resumedFrom ?? "")).toBeGreaterThan(Date.parse(result.report?.firstStartedAt ?? ""));
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.concurrent("the digest of the source is the same, resumed or not", async () => {
  await using scene = await openFilled(3000);
  await stopHalfWay(scene);
  const resumed = await scene.run("populate");
  const whole = await scene.run("copy", [], { target: `${scene.scratch.path}/copy` });
  expect([resumed.exitCode, whole.exitCode]).toEqual([0, 0]);
  expect(resumed.report?.sourceDigest).toBe(whole.report?.sourceDigest);
});

test.concurrent("open objects that were deleted or replaced meanwhile are taken as they are now", async () => {
  await using scene = await openFilled();
  await stopHalfWay(scene);
  const open = (await checkpointIn(scene.target))?.open.map(({ entry }) => entry.key) ?? [];
  const [gone = "", replaced = ""] = open;
  expect(open.length).toBeGreaterThan(1);
  scene.emulator.deleteObject(bucketName, gone);
  scene.emulator.replaceObject(bucketName, replaced, 77);

  const result = await scene.run("populate");

  expect(result).toMatchObject({ exitCode: 0, report: { objects: { listed: 399, copied: 399 } } });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.concurrent("a damaged checkpoint is named in one sentence and not trusted", async () => {
  await using scene = await openFilled();
  await stopHalfWay(scene);
  const path = `${scene.target}/${state}/checkpoint`;
  await writeFile(path, (await readFile(path, "utf8")).replace(/"objects":\d/, '"objects":9'));

  expectStartedOver(await scene.run("populate"), /damaged/);

  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.concurrent("another source starts over", async () => {
  await using scene = await openFilled();
  scene.emulator.generate({ bucket: bucketName, prefix: "other/", count: 30, sizeBytes: 100 });
  await stopHalfWay(scene);
  expectStartedOver(await scene.run("populate", [], { path: "other/" }), /another one/);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "other/" })).toEqual([]);
});

test.concurrent.each([
  ["--no-resume", "true", /--no-resume/],
  ["--resume-within", "1ms", /--resume-within/],
])("%s %s starts over", async (option, value, reason) => {
  await using scene = await openFilled();
  await stopHalfWay(scene);
  expectStartedOver(await scene.run("populate", value === "true" ? [option] : [option, value]), reason);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.concurrent("what failed is all that another run fetches", async () => {
  await using scene = await openFilled(50);
  scene.emulator.addFaults({ kind: "status", status: 500, operation: "get", key: /small.0007$|small.*00007/ });
  const first = await scene.run("populate", ["--retries", "0", "--max-failures", "none"]);
  const { failed = 0 } = first.report?.objects ?? {};
  expect(first.exitCode).toBe(7);
  expect(failed).toBeGreaterThan(0);
  scene.emulator.clearFaults();
  const before = scene.emulator.counters.get;

  const second = await scene.run("populate");

  expect(second).toMatchObject({ exitCode: 0, report: { objects: { listed: 50, copied: 50, resumed: 50 - failed } } });
  expect(scene.emulator.counters.get - before).toBe(failed);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.concurrent("a second process on the target says that it waits, and takes over when the first dies", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "delay", ms: 200, operation: "get" });
  await using first = scene.start("populate", ["--concurrency", "4"]);
  await until("some files", async () => (await countNames(`${scene.target}/small`)) > 5);
  await using second = scene.start("populate");
  await second.said(/another process is working on/);
  const files = await countNames(`${scene.target}/small`);
  await until("more files", async () => (await countNames(`${scene.target}/small`)) > files);
  first.child.kill("SIGKILL");
  await first.result;
  scene.emulator.clearFaults();

  expect(await second.result).toMatchObject({ exitCode: 0, report: { objects: { copied: 400 } } });

  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});
