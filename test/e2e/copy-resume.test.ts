import { link, readdir, readFile, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { parseCheckpoint } from "../../src/engine/checkpoint-format.ts";
import type { CliResult, CliRun } from "./support/cli.ts";
import { mountOverlay, notMounted } from "./support/mounts.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";
import { countNames, until } from "./support/waiting.ts";

const prefix = "data/";
const state = ".oss-populator";
const mib = 2 ** 20;

/** Where the only unfinished copy into a target keeps how far it is; undefined while it does not. */
async function checkpointFile(target: string): Promise<string | undefined> {
  const names = await readdir(`${target}/${state}`).catch(() => []);
  const name = names.find((each) => /^copy-.*\.checkpoint$/.test(each));
  return name && `${target}/${state}/${name}`;
}

/** Bytes that the checkpoint of a copy vouches for. */
async function keptBytes(target: string): Promise<number> {
  const file = await checkpointFile(target);
  const bytes = file === undefined ? undefined : await readFile(file).catch(() => undefined);
  const loaded = bytes && parseCheckpoint(bytes);
  if (loaded?.status !== "ok") return 0;
  return loaded.state.open.flatMap(({ extents }) => extents).reduce((sum, { length }) => sum + length, 0);
}

async function kill(run: CliRun): Promise<CliResult> {
  run.child.kill("SIGKILL");
  return run.result;
}

const withoutOurs = (paths: readonly string[]): string[] => paths.filter((path) => !path.includes(".oss-populator"));

/** Starts a copy of large objects and kills it once some of them is vouched for. */
async function killInLarge(scene: Scene, target = scene.target): Promise<number> {
  await using run = scene.start("copy", ["--part-size", "1MiB", "--throughput", "5"], { target });
  await until("extents", async () => (await keptBytes(target)) > 4 * mib);
  await kill(run);
  // What was sent to it is counted by then.
  await until("silence", () => scene.emulator.counters.openConnections === 0);
  return keptBytes(target);
}

async function openLarge(sizeBytes: number): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix, count: 1, sizeBytes });
  return scene;
}

test.concurrent("a copy that was killed inside a large object goes on there, and no part of it ever has its name", async () => {
  const sizeBytes = 64 * mib + 17;
  await using scene = await openLarge(sizeBytes);
  const { emulator, target } = scene;
  const kept = await killInLarge(scene);
  expect(withoutOurs(await pathsIn(target))).toEqual([]);
  const before = emulator.counters.objectBytesSent;

  await using run = scene.start("copy", ["--part-size", "1MiB", "--throughput", "40"]);
  await until("bytes", () => emulator.counters.objectBytesSent > before + 4 * mib);
  expect(withoutOurs(await pathsIn(target))).toEqual([]);
  const result = await run.result;

  expect(result).toMatchObject({ exitCode: 0, report: { objects: { copied: 1 }, verified: { crc64: 1 } } });
  expect(result.report?.resumedFrom).not.toBeNull();
  expect(Date.parse(result.report?.firstStartedAt ?? "")).toBeLessThan(Date.parse(result.report?.startedAt ?? ""));
  expect(emulator.counters.objectBytesSent - before).toBeLessThanOrEqual(sizeBytes - kept);
  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
});

test.concurrent("the same where files are synced one by one", async (context) => {
  const sizeBytes = 64 * mib + 17;
  await using scene = await openLarge(sizeBytes);
  await using volume = await mountOverlay(scene.scratch.path);
  if (volume === undefined) return context.skip(notMounted);
  const target = volume.path;
  const kept = await killInLarge(scene, target);
  const before = scene.emulator.counters.objectBytesSent;
  expect(await scene.run("copy", ["--part-size", "1MiB"], { target })).toMatchObject({
    exitCode: 0,
    report: { durability: "fsync" },
  });
  expect(scene.emulator.counters.objectBytesSent - before).toBeLessThanOrEqual(sizeBytes - kept);
  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
});

test.concurrent("a checkpoint that is damaged is named in one sentence and not trusted", async () => {
  await using scene = await openLarge(64 * mib);
  await killInLarge(scene);
  const file = (await checkpointFile(scene.target)) ?? "";
  await writeFile(file, (await readFile(file, "utf8")).replace(/"sizeBytes":\d/, '"sizeBytes":9'));

  const result = await scene.run("copy", ["--part-size", "1MiB"]);

  expect(result).toMatchObject({ exitCode: 0, report: { resumedFrom: null } });
  const told = result.lines.filter(({ event }) => event === "starting over");
  expect(told.map(({ reason }) => reason)).toEqual([expect.stringMatching(/damaged/)]);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test.concurrent("an object that was replaced or deleted meanwhile leaves nothing of its old version", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  const set = emulator.generate({ bucket: bucketName, prefix, count: 2, sizeBytes: 40 * mib });
  await killInLarge(scene);
  emulator.deleteObject(bucketName, set.keyAt(0));
  emulator.replaceObject(bucketName, set.keyAt(1), 3 * mib);
  expect(await scene.run("copy", ["--part-size", "1MiB"])).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
});

test.concurrent("files get their names within seconds, though a slow object holds up the run", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 30, sizeBytes: 100 });
  emulator.putObject(bucketName, "data/slow", Buffer.alloc(400_000));
  emulator.addFaults({ kind: "drip", bytesPerSecond: 2000, operation: "get", key: "data/slow" });
  await using run = scene.start("copy");
  await until("names", async () => {
    const names = await readdir(`${target}/small`).catch(() => []);
    return names.length === 30 && names.every((name) => !name.startsWith(".oss-populator"));
  });
  expect(run.child.exitCode).toBeNull();
  emulator.clearFaults();
});

test.concurrent("a copy that was stopped keeps all that was done, and another one fetches only the rest", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 200, sizeBytes: { min: 0, max: 9000 } });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 20 * mib });
  const never = { kind: "delay", ms: 60_000, operation: "get", every: 1 } as const;
  emulator.addFaults({ ...never, key: /large/, nth: 9 }, { ...never, key: /small/, nth: 90 });
  const stopped = await (async () => {
    await using run = scene.start("copy", ["--part-size", "1MiB", "--concurrency", "16"]);
    await until("files", async () => (await countNames(`${target}/small`)) > 80);
    process.kill(run.pid, "SIGTERM");
    return await run.result;
  })();
  expect(stopped.exitCode).toBe(143);
  const { copied = 0 } = stopped.report?.objects ?? {};
  expect(copied).toBeGreaterThan(50);
  expect(withoutOurs(await pathsIn(target)).filter((path) => /\d$/.test(path))).toHaveLength(copied);
  const kept = await keptBytes(target);
  expect(kept).toBeGreaterThan(0);
  emulator.clearFaults();
  await until("silence", () => emulator.counters.openConnections === 0);
  emulator.resetCounters();

  const result = await scene.run("copy", ["--part-size", "1MiB"]);

  expect(result).toMatchObject({ exitCode: 0, report: { objects: { listed: 201, skipped: copied } } });
  expect(emulator.counters.get).toBe(200 - copied + (20 * mib - kept) / mib);
  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
});

test.concurrent("temporary files of a killed copy go with the next one; what is not ours stays", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 80, sizeBytes: 3000 });
  emulator.generate({ bucket: bucketName, prefix: "other/small/", count: 80, sizeBytes: 3000 });
  emulator.addFaults({ kind: "delay", ms: 60_000, operation: "get", nth: 50, every: 1 });
  const killed = async (path: string): Promise<string[]> => {
    const before = emulator.counters.get;
    await using run = scene.start("copy", ["--concurrency", "8"], { path });
    await until("requests", () => emulator.counters.get > before + (before === 0 ? 50 : 7));
    if (before === 0) await until("files", async () => (await countNames(`${target}/small`)) > 30);
    await kill(run);
    return (await readdir(`${target}/small`)).filter((name) => name.startsWith(".oss-populator."));
  };
  const [temporary = "", ...others] = await killed("data/");
  expect(others.length).toBeGreaterThan(10);
  await writeFile(`${target}/precious`, "mine");
  // A second name for something else, in the place of a temporary file; and a name that only looks like one.
  const planted = temporary.replace(/[0-9a-f]{8}\.tmp$/, "00000000.tmp");
  await link(`${target}/precious`, `${target}/small/${planted}`);
  await writeFile(`${target}/small/.oss-populator.mine.tmp`, "mine");
  emulator.clearFaults();

  expect(await scene.run("copy")).toMatchObject({ exitCode: 0, report: { objects: { copied: 80 } } });

  const left = (await pathsIn(target)).filter((path) => path.includes(".oss-populator"));
  expect(left.toSorted()).toEqual(["small/.oss-populator.mine.tmp", `small/${planted}`].toSorted());
  expect(await readFile(`${target}/precious`, "utf8")).toBe("mine");
});

test.concurrent("a copy that has failed without anything to go on with leaves nothing of ours", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  expectRefusal(await scene.run("copy", [], { path: "nothing/" }), 3, "nothing under the path");
  expect(await pathsIn(target)).toEqual([]);
  emulator.generate({ bucket: bucketName, prefix, count: 3, sizeBytes: 100 });
  emulator.addFaults({ kind: "status", status: 500, operation: "get", key: "data/0001" });
  expect(await scene.run("copy", ["--retries", "0"])).toMatchObject({ exitCode: 7 });
  expect(await pathsIn(target)).toEqual(["0000", "0002"]);
});

test.concurrent("the first copy of a source keeps off a second one, and populate keeps off an unfinished copy", async () => {
  await using scene = await openScene();
  const { emulator } = scene;
  emulator.generate({ bucket: bucketName, prefix, count: 40, sizeBytes: 100 });
  emulator.addFaults({ kind: "delay", ms: 200, operation: "get" });
  await using first = scene.start("copy", ["--concurrency", "2"]);
  await until("requests", () => emulator.counters.get > 2);
  await using second = scene.start("copy");
  await second.said(/another process is working on/);
  await kill(first);
  emulator.clearFaults();
  expect(await second.result).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);

  emulator.generate({ bucket: bucketName, prefix: "data/more/", count: 40, sizeBytes: 100 });
  emulator.addFaults({ kind: "delay", ms: 200, operation: "get" });
  const { get } = emulator.counters;
  await using third = scene.start("copy", ["--concurrency", "2"]);
  await until("requests", () => emulator.counters.get > get + 2);
  await kill(third);
  emulator.clearFaults();
  expectRefusal(await scene.run("populate", ["--allow-non-empty"]), 5, "a copy into the target is unfinished");
});
