import { mkdir, readFile, utimes, writeFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { parseCheckpoint } from "../../src/engine/checkpoint-format.ts";
import { killHalfWay, openSlow } from "./support/half-way.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";
import { countNames, until } from "./support/waiting.ts";

const prefix = "data/";
const state = ".oss-populator";

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
