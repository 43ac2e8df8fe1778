import { stat } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { shardOf } from "../../src/engine/share.ts";
import type { CliResult } from "./support/cli.ts";
import { bucketName, credentials, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom, pathsIn, readTree } from "./support/tree.ts";

const prefix = "data/";
const mib = 2 ** 20;
const isRoot = process.getuid?.() === 0;

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

const indexes = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Runs a shard as a pod of an Indexed Job does. */
function runShard(scene: Scene, index: number, count: number, args: readonly string[] = []): Promise<CliResult> {
  const env = { ...credentials, JOB_COMPLETION_INDEX: `${index}` };
  return scene.run("copy", ["--shard-count", `${count}`, ...args], { env });
}

/** How often each object, or each range of one, was asked for and answered in full. */
function fetchesOf({ emulator }: Scene): Map<string, number> {
  const fetches = new Map<string, number>();
  for (const { operation, key, headers, finished } of emulator.requests) {
    if (operation !== "get" || !finished) continue;
    const what = `${key} ${headers.range ?? "whole"}`;
    fetches.set(what, (fetches.get(what) ?? 0) + 1);
  }
  return fetches;
}

test("eight shards together, in any order, some of them killed and run again, make what one copy makes", {
  timeout: 240_000,
}, async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  const count = 8;
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 300, sizeBytes: { min: 0, max: 9000 } });
  emulator.generate({ bucket: bucketName, prefix: "data/deep/a/b/c/", count: 100, sizeBytes: 100 });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 12, sizeBytes: 3 * mib + 5 });
  for (const key of ["data/empty/", "data/deep/a/"]) emulator.putObject(bucketName, key, "");
  emulator.addFaults({ kind: "delay", ms: 60, operation: "get" });
  const args = ["--concurrency", "4", "--part-size", "1MiB"];
  const doomed = new Set(shuffled(indexes(count)).slice(0, 3));

  const results = await Promise.all(
    shuffled(indexes(count)).map(async (index) => {
      await setTimeout(Math.random() * 300);
      if (doomed.has(index)) {
        const options = ["--shard-index", `${index}`, "--shard-count", `${count}`, ...args];
        await using run = scene.start("copy", options);
        await run.said(/listing complete/);
        await setTimeout(Math.random() * 400);
        run.child.kill("SIGKILL");
        await run.result;
      }
      return runShard(scene, index, count, args);
    }),
  );

  expect(results.map(({ exitCode }) => exitCode)).toEqual(indexes(count).map(() => 0));
  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
  const reports = results.flatMap(({ report }) => report ?? []);
  const sum = (of: (counts: { copied: number; skipped: number; listed: number }) => number): number =>
    reports.reduce((total, { objects }) => total + of(objects), 0);
  expect(sum(({ listed }) => listed)).toBe(414);
  expect(sum(({ copied, skipped }) => copied + skipped)).toBe(414);
  for (const [what, times] of fetchesOf(scene)) {
    const isOfKilled = doomed.has(shardOf(what.split(" ")[0] ?? "", count));
    expect([what, times]).toEqual([what, isOfKilled ? expect.any(Number) : 1]);
    expect(times).toBeLessThanOrEqual(2);
  }
  emulator.clearFaults();
  const { get } = emulator.counters;
  const whole = await scene.run("copy");
  expect(whole).toMatchObject({ exitCode: 0, report: { objects: { copied: 0, skipped: 414 } } });
  expect(emulator.counters.get).toBe(get);
  for (const { sourceDigest } of reports) expect(sourceDigest).toBe(whole.report?.sourceDigest);
});

test("a shard goes on inside its large object, and another division of the same source cleans up after it", async () => {
  await using scene = await openScene();
  const { emulator, target } = scene;
  emulator.generate({ bucket: bucketName, prefix, count: 3, sizeBytes: 24 * mib });
  const never = { kind: "delay", ms: 60_000, operation: "get", every: 1, nth: 10 } as const;
  for (const key of [/0000$/, /0001$/, /0002$/]) emulator.addFaults({ ...never, key });
  const shards = indexes(2).map(async (index) => {
    const options = ["--shard-index", `${index}`, "--shard-count", "2", "--part-size", "1MiB"];
    await using run = scene.start("copy", options);
    await run.said(/listing complete/);
    // Nine parts of each object come, the others never do.
    while (emulator.counters.objectBytesSent < 3 * 9 * mib) await setTimeout(20);
    process.kill(run.pid, "SIGTERM");
    return await run.result;
  });
  const stopped = await Promise.all(shards);
  const busy = stopped.filter(({ report }) => (report?.objects.listed ?? 0) > 0);
  for (const { exitCode } of busy) expect(exitCode).toBe(143);
  expect((await pathsIn(target)).filter((path) => path.includes(".tmp")).length).toBeGreaterThan(0);
  emulator.clearFaults();
  while (emulator.counters.concurrentRequests > 0) await setTimeout(20);
  const before = emulator.counters.objectBytesSent;
  const index = shardOf("data/0000", 2);
  const own = indexes(3).filter((i) => shardOf(`data/000${i}`, 2) === index).length;

  const again = await runShard(scene, index, 2, ["--part-size", "1MiB"]);

  expect(again).toMatchObject({ exitCode: 0, report: { objects: { listed: own, copied: own } } });
  expect(again.report?.resumedFrom).not.toBeNull();
  expect(emulator.counters.objectBytesSent - before).toBeLessThan((own * 24 - 5) * mib);
  expect(await scene.run("copy", ["--part-size", "1MiB"])).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
});

test("an empty share is a success, nothing under the path is not", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/only", "x");
  const mine = shardOf("data/only", 3);
  for (const index of indexes(3)) {
    const result = await runShard(scene, index, 3);
    const objects = { listed: index === mine ? 1 : 0 };
    expect(result).toMatchObject({ exitCode: 0, report: { objects, shard: { index, count: 3 } } });
    const warnings = result.lines.filter(({ level }) => level === "warn").map(({ problem }) => problem);
    expect(warnings).toEqual(index === mine ? [] : [`nothing is selected for shard ${index} of 3`]);
  }
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
  const nothing = { env: { ...credentials, JOB_COMPLETION_INDEX: "0" }, path: "nothing/" };
  expect(await scene.run("copy", ["--shard-count", "3"], nothing)).toMatchObject({ exitCode: 3 });
});

test("a list of keys is shared too, and each key is looked up once", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix, count: 40, sizeBytes: 10 });
  const keys = `${indexes(40)
    .map((i) => String(i).padStart(4, "0"))
    .join("\n")}\ngone\n`;
  const results: CliResult[] = [];
  for (const index of indexes(3)) {
    const options = ["--files-from", "-", "--shard-count", "3", "--shard-index", `${index}`];
    results.push(await scene.run("copy", options, { stdin: keys }));
  }
  expect(results.map(({ exitCode }) => exitCode).toSorted()).toEqual([0, 0, 4]);
  expect(scene.emulator.counters).toMatchObject({ head: 41, get: 40 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

test("keys of different shards that exclude each other fail in their own shard, and the others are copied", async () => {
  await using scene = await openScene();
  for (const key of ["a", "a/x", "a/y", "a/z", "b/c", "d"]) scene.emulator.putObject(bucketName, prefix + key, key);
  const results = await Promise.all(indexes(3).map((index) => runShard(scene, index, 3)));
  const failures = results.flatMap(({ report }) => report?.failures ?? []);
  expect(failures.map(({ key }) => key).toSorted()).toEqual(["data/a/x", "data/a/y", "data/a/z"]);
  for (const { kind } of failures) expect(kind).toBe("unsupported");
  for (const { exitCode, report } of results) expect(exitCode).toBe(report?.failures.length ? 4 : 0);
  expect(await pathsIn(scene.target)).toEqual(["a", "b/", "b/c", "d"]);
});

test("shards that make the same directories, and the target, all give them owner and mode", async (context) => {
  if (!isRoot) return context.skip("needs the right to change owners");
  await using scene = await openScene();
  const target = `${scene.scratch.path}/made/target`;
  emulatorFilled(scene);
  const args = ["--uid", "1234", "--gid", "4321", "--dir-mode", "2770", "--file-mode", "0640", "--chown-root"];
  const results = await Promise.all(
    indexes(4).map((index) => {
      const options = [...args, "--shard-count", "4", "--shard-index", `${index}`];
      return scene.run("copy", options, { target });
    }),
  );
  expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0, 0, 0]);
  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
  for (const [path, node] of await readTree(target)) {
    const mode = node.kind === "directory" ? 0o2770 : 0o640;
    expect([path, node.uid, node.gid, node.mode]).toEqual([path, 1234, 4321, mode]);
  }
  const root = await stat(target);
  expect([root.uid, root.gid, root.mode & 0o7777]).toEqual([1234, 4321, 0o2770]);
});

function emulatorFilled({ emulator }: Scene): void {
  for (let i = 0; i < 60; i++) emulator.putObject(bucketName, `data/d${i % 6}/e${i % 5}/f/file-${i}`, `${i}`);
  for (let i = 0; i < 6; i++) emulator.putObject(bucketName, `data/d${i}/`, "");
}

test("two processes of one shard do not work at the same time, and a whole copy waits for the shards", async () => {
  await using scene = await openScene();
  const { emulator } = scene;
  emulator.generate({ bucket: bucketName, prefix, count: 60, sizeBytes: 100 });
  emulator.addFaults({ kind: "delay", ms: 200, operation: "get" });
  const shard = ["--shard-count", "2", "--shard-index", "1"];
  await using first = scene.start("copy", [...shard, "--concurrency", "1"]);
  await first.said(/listing complete/);
  await using second = scene.start("copy", shard);
  await second.said(/another process is working on shard 1 of 2 of/);
  await using whole = scene.start("copy");
  await whole.said(/another process is working on/);
  emulator.clearFaults();
  expect((await first.result).exitCode).toBe(0);
  expect((await second.result).exitCode).toBe(0);
  expect((await whole.result).exitCode).toBe(0);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});
