import { mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { parseCheckpoint } from "../../src/engine/checkpoint-format.ts";
import { mountExt4, mountOverlay, notMounted } from "./support/mounts.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom, pathsIn, readTree } from "./support/tree.ts";
import { countNames, until } from "./support/waiting.ts";

const prefix = "data/";
const state = ".oss-populator";

/** Every fifth object of 250 comes so slowly that a run can be ended in its middle. */
async function openSlow(): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 250, sizeBytes: { min: 0, max: 9000 } });
  scene.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 10 * 2 ** 20 + 3 });
  scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 500, operation: "get", every: 5 });
  return scene;
}

/** Starts a run and ends it without warning once it has made some files. */
async function killHalfWay(scene: Scene, args: readonly string[] = [], target = scene.target): Promise<void> {
  await using run = scene.start("populate", args, { target });
  await until("some files", async () => (await countNames(`${target}/small`)) > 20);
  run.child.kill("SIGKILL");
  expect((await run.result).exitCode).toBe(null);
}

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

test.concurrent("with --allow-non-empty a volume is filled around foreign files", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix, count: 5, sizeBytes: 100 });
  await mkdir(`${scene.target}/mine`);
  await writeFile(`${scene.target}/mine/precious`, "mine");

  expect(await scene.run("populate", ["--allow-non-empty"])).toMatchObject({ exitCode: 0 });

  expect(await readFile(`${scene.target}/mine/precious`, "utf8")).toBe("mine");
  expect(await differencesFrom(scene.bucket, scene.target, { prefix, ignore: ["mine"] })).toEqual([]);
});

test.concurrent("with --allow-non-empty a foreign file at an object's path is neither overwritten nor taken for it", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/a", "theirs");
  await writeFile(`${scene.target}/a`, "mine");

  expectRefusal(await scene.run("populate", ["--allow-non-empty"]), 5, "data/a");

  expect(await readFile(`${scene.target}/a`, "utf8")).toBe("mine");
});

test.concurrent("with --allow-non-empty a killed run is completed by the next one, around foreign files", async () => {
  await using scene = await openSlow();
  await mkdir(`${scene.target}/small`);
  for (const path of ["precious", "small/precious"]) await writeFile(`${scene.target}/${path}`, "mine");
  await killHalfWay(scene, ["--allow-non-empty"]);
  scene.emulator.clearFaults();

  const result = await scene.run("populate", ["--allow-non-empty"]);

  expect(result).toMatchObject({ exitCode: 0, report: { objects: { listed: 251, failed: 0 } } });
  for (const path of ["precious", "small/precious"]) {
    expect(await readFile(`${scene.target}/${path}`, "utf8")).toBe("mine");
  }
  const differences = await differencesFrom(scene.bucket, scene.target, { prefix, ignore: ["precious"] });
  expect(differences).toEqual(["small/precious: not in the bucket"]);
});

test.concurrent("with --allow-non-empty what an attempt has finished is not fetched again", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 60, sizeBytes: 500 });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 20 * 2 ** 20 });
  await writeFile(`${target}/precious`, "mine");
  const never = { kind: "delay", ms: 60_000, operation: "get", every: 1 } as const;
  emulator.addFaults({ ...never, key: /large/, nth: 9 }, { ...never, key: /small/, nth: 30 });
  const args = ["--allow-non-empty", "--part-size", "1MiB"];
  {
    await using run = scene.start("populate", args);
    await until("files", async () => (await countNames(`${target}/small`)) > 25);
    await until("ranges", () => emulator.counters.objectBytesSent > 7 * 2 ** 20);
    await setTimeout(300);
    process.kill(run.pid, "SIGTERM");
    expect((await run.result).exitCode).toBe(143);
  }
  const made = (await pathsIn(target)).filter((path) => /^small.\d+$/.test(path)).length;
  expect(made).toBeGreaterThan(20);
  const loaded = parseCheckpoint(await readFile(`${target}/${state}/checkpoint`));
  const open = loaded.status === "ok" ? loaded.state.open : [];
  const kept = open.flatMap(({ extents }) => extents).reduce((sum, { length }) => sum + length, 0);
  expect(kept).toBeGreaterThan(0);
  emulator.clearFaults();
  await until("silence", () => emulator.counters.openConnections === 0);
  emulator.resetCounters();

  expect(await scene.run("populate", args)).toMatchObject({ exitCode: 0, report: { objects: { skipped: made } } });

  expect(emulator.counters.get).toBe(60 - made + (20 * 2 ** 20 - kept) / 2 ** 20);
  expect(await differencesFrom(scene.bucket, target, { prefix, ignore: ["precious"] })).toEqual([]);
});

test.concurrent("with --allow-non-empty a foreign file is not taken for one of an earlier attempt", async () => {
  await using scene = await openSlow();
  const { emulator, target } = scene;
  await writeFile(`${target}/precious`, "mine");
  await killHalfWay(scene, ["--allow-non-empty"]);
  emulator.clearFaults();
  emulator.putObject(bucketName, "data/same", "from the bucket", { lastModifiedMs: 1_600_000_000_000 });
  await writeFile(`${target}/same`, "from elsewhere!");
  await utimes(`${target}/same`, 1_500_000_000, 1_500_000_000);

  expectRefusal(await scene.run("populate", ["--allow-non-empty"]), 5, "data/same");

  expect(await readFile(`${target}/same`, "utf8")).toBe("from elsewhere!");
});

test.concurrent("with --allow-non-empty a foreign file that looks like its object is not taken for it either", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.putObject(bucketName, "data/same", "from the bucket", { lastModifiedMs: 1_600_000_000_000 });
  emulator.putObject(bucketName, "data/slow", Buffer.alloc(100_000));
  emulator.addFaults({ kind: "drip", bytesPerSecond: 2000, operation: "get", key: "data/slow" });
  await writeFile(`${target}/same`, "from elsewhere!");
  await utimes(`${target}/same`, 1_600_000_000, 1_600_000_000);
  const args = ["--allow-non-empty", "--max-failures", "none"];
  {
    await using run = scene.start("populate", args);
    await until("requests", () => emulator.counters.get > 0);
    run.child.kill("SIGKILL");
    await run.result;
  }
  emulator.clearFaults();

  expectRefusal(await scene.run("populate", args), 5, "data/same");

  expect(await readFile(`${target}/same`, "utf8")).toBe("from elsewhere!");
});

test.concurrent("with --allow-non-empty another source does not delete foreign files either", async () => {
  await using scene = await openSlow();
  scene.emulator.generate({ bucket: bucketName, prefix: "other/", count: 5, sizeBytes: 100 });
  await writeFile(`${scene.target}/precious`, "mine");
  await killHalfWay(scene, ["--allow-non-empty"]);
  scene.emulator.clearFaults();

  expect(await scene.run("populate", ["--allow-non-empty"], { path: "other/" })).toMatchObject({ exitCode: 0 });

  expect(await readFile(`${scene.target}/precious`, "utf8")).toBe("mine");
  const paths = await pathsIn(scene.target);
  expect(paths).not.toContain(`${state}/`);
  expect(paths.filter((path) => /^000/.test(path)).length).toBe(5);
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
