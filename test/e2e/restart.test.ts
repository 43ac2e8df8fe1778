import { mkdir, readFile, writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { killHalfWay, openSlow } from "./support/half-way.ts";
import { mountExt4, mountOverlay, notMounted } from "./support/mounts.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene } from "./support/scene.ts";
import { differencesFrom, pathsIn, readTree } from "./support/tree.ts";
import { countNames, until } from "./support/waiting.ts";

const prefix = "data/";
const state = ".oss-populator";

test.concurrent("a run that was killed leaves its mark, and the next one completes without a trace", async () => {
  await using scene = await openSlow();
  await killHalfWay(scene);
  expect(await pathsIn(scene.target)).toContain(`${state}/`);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix, ignore: [state] })).not.toEqual([]);
  scene.emulator.clearFaults();

  const result = await scene.run("populate");

  expect(result).toMatchObject({ exitCode: 0, report: { objects: { listed: 251, copied: 251, failed: 0 } } });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
  expect(Date.parse(result.report?.firstStartedAt ?? "")).toBeLessThan(Date.parse(result.report?.startedAt ?? ""));
});

test.concurrent("runs that are killed again and again on ext4 end in a right volume", async (context) => {
  await using scene = await openSlow();
  await using volume = await mountExt4(scene.scratch.path, 128 * 2 ** 20);
  if (volume === undefined) return context.skip(notMounted);
  for (const delayMs of [0, 150, 400]) {
    await using run = scene.start("populate", [], { target: volume.path });
    await run.said(/listing complete/);
    await setTimeout(delayMs);
    run.child.kill("SIGKILL");
    await run.result;
  }
  scene.emulator.clearFaults();
  expect(await scene.run("populate", [], { target: volume.path })).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, volume.path, { prefix, ignore: ["lost+found"] })).toEqual([]);
});

test.concurrent("a run that was killed where files are synced one by one completes", async (context) => {
  await using scene = await openSlow();
  await using volume = await mountOverlay(scene.scratch.path);
  if (volume === undefined) return context.skip(notMounted);
  await killHalfWay(scene, [], volume.path);
  scene.emulator.clearFaults();
  const result = await scene.run("populate", [], { target: volume.path });
  expect(result).toMatchObject({ exitCode: 0, report: { durability: "fsync", objects: { copied: 251 } } });
  expect(await differencesFrom(scene.bucket, volume.path, { prefix })).toEqual([]);
});

test.concurrent("the bucket may change between a killed run and one that starts over", async () => {
  await using scene = await openSlow();
  await killHalfWay(scene);
  scene.emulator.clearFaults();
  const made = (await pathsIn(scene.target)).filter((path) => path.startsWith("small/0"));
  scene.emulator.deleteObject(bucketName, `${prefix}${made[0]}`);
  scene.emulator.replaceObject(bucketName, `${prefix}${made[1]}`, 77);

  expect(await scene.run("populate", ["--no-resume"])).toMatchObject({ exitCode: 0 });

  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.concurrent("another source on the volume of a killed run starts over", async () => {
  await using scene = await openSlow();
  scene.emulator.generate({ bucket: bucketName, prefix: "other/", count: 5, sizeBytes: 100 });
  await killHalfWay(scene);
  scene.emulator.clearFaults();

  expect(await scene.run("populate", [], { path: "other/" })).toMatchObject({ exitCode: 0 });

  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "other/" })).toEqual([]);
});

test.concurrent("a failed attempt is told by the next one", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 3, sizeBytes: 100 });
  scene.emulator.addFaults({ kind: "flipBit", at: 0, operation: "get", key: "data/0001" });
  expect(await scene.run("populate", ["--retries", "0"])).toMatchObject({ exitCode: 6 });
  expect(await scene.run("populate", ["--retries", "0"])).toMatchObject({ exitCode: 6 });
  scene.emulator.clearFaults();

  const third = await scene.run("populate");

  expect(third.exitCode).toBe(0);
  const told = third.lines.find(({ event }) => event.includes("earlier attempt"));
  expect(told).toMatchObject({ attempts: 2, lastExitCode: 6, failedInARow: 2 });
  expect(told?.lastFailure).toContain("data/0001");
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.concurrent("an attempt that failed before its first file is told by the next one, and held longer each time", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 3, sizeBytes: 100 });
  const holds: unknown[] = [];
  for (let attempts = 0; attempts < 3; attempts++) {
    await using run = scene.start("populate", [], { path: "no-such/", without: ["fail-hold"] });
    await run.said(/holding/);
    process.kill(run.pid, "SIGTERM");
    const { lines, exitCode } = await run.result;
    expect(exitCode).toBe(3);
    holds.push(lines.find(({ event }) => event.startsWith("holding"))?.seconds);
  }
  expect(holds).toEqual([30, 60, 120]);

  const fourth = await scene.run("populate");

  const told = fourth.lines.find(({ event }) => event.includes("earlier attempt"));
  expect(told).toMatchObject({ attempts: 3, lastExitCode: 3, failedInARow: 3, sameWork: false });
  expect(told?.lastFailure).toContain("no-such/");
  expect(fourth.exitCode).toBe(0);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.concurrent("an attempt at another source that failed before its first file leaves the earlier one's work to go on with", async () => {
  await using scene = await openSlow();
  await killHalfWay(scene);
  scene.emulator.clearFaults();
  const before = await readTree(scene.target);

  expectRefusal(await scene.run("populate", ["--fail-hold", "1ms"], { path: "no-such/" }), 3, "no-such/");

  const ours = (tree: typeof before) => [...tree.keys()].filter((path) => !path.startsWith(state));
  expect(ours(await readTree(scene.target))).toEqual(ours(before));
  const next = await scene.run("populate");
  expect(next).toMatchObject({ exitCode: 0, report: { objects: { copied: 251, failed: 0 } } });
  const told = next.lines.find(({ event }) => event.includes("earlier attempt"));
  expect(told).toMatchObject({ attempts: 2, lastExitCode: 3, sameWork: true });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

const damage: readonly (readonly [string, string, string])[] = [
  ["cut", '{"format":"oss-populator.owner/v1","finger', "damaged"],
  ["empty", "", "damaged"],
  ["of a later version", '{"format":"oss-populator.owner/v9"}', "newer"],
  ["of somebody else", '{"hello":"world"}', "not one of this program"],
];

test.concurrent.each(damage)("an owner record that is %s is no licence to delete", async (_, text, word) => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/a", "x");
  await mkdir(`${scene.target}/${state}`);
  await writeFile(`${scene.target}/${state}/owner.json`, text);
  await writeFile(`${scene.target}/precious`, "mine");
  const before = await readTree(scene.target);

  expectRefusal(await scene.run("populate"), 5, word);

  expect(await readTree(scene.target)).toEqual(before);
  expect(await readFile(`${scene.target}/precious`, "utf8")).toBe("mine");
});

test.concurrent("a copy that was killed leaves no half file under a final name, and the next one completes", async () => {
  await using scene = await openSlow();
  await using run = scene.start("copy");
  await until("some files", async () => (await countNames(`${scene.target}/small`)) > 20);
  run.child.kill("SIGKILL");
  await run.result;
  const partial = await differencesFrom(scene.bucket, scene.target, { prefix });
  expect(partial.filter((line) => !line.includes("nothing instead of") && !line.includes(".oss-populator"))).toEqual(
    [],
  );
  scene.emulator.clearFaults();

  expect(await scene.run("copy")).toMatchObject({ exitCode: 0 });

  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});
