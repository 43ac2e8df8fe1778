import { open, rm, truncate, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { readTree } from "./support/tree.ts";

async function openFilled(): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 20, sizeBytes: { min: 1, max: 9000 } });
  scene.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 9 * 2 ** 20 + 5 });
  await scene.run("populate");
  return scene;
}

async function flipByte(path: string, at: number): Promise<void> {
  await using file = await open(path, "r+");
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, at);
}

test.concurrent("verify finds nothing wrong with a fresh volume, and asks for heads only", async () => {
  await using scene = await openFilled();
  scene.emulator.resetCounters();

  expect(await scene.run("verify")).toMatchObject({ exitCode: 0, report: { verified: { crc64: 21 }, failures: [] } });

  expect(scene.emulator.counters).toMatchObject({ get: 0, head: 21 });
});

test.concurrent("verify names every file that is flipped, short, missing or too many, and writes nothing", async () => {
  await using scene = await openFilled();
  await flipByte(`${scene.target}/large/0000`, 9 * 2 ** 20);
  await flipByte(`${scene.target}/small/0004`, 0);
  await truncate(`${scene.target}/small/0008`, 0);
  await rm(`${scene.target}/small/0013`);
  await writeFile(`${scene.target}/small/0005.extra`, "");
  const before = await readTree(scene.target);

  const result = await scene.run("verify");

  expect(result.exitCode).toBe(6);
  expect(result.report?.failures.map(({ key }) => key).sort()).toEqual([
    "data/large/0000",
    "data/small/0004",
    "data/small/0005.extra",
    "data/small/0008",
    "data/small/0013",
  ]);
  expect(result.report?.objects).toMatchObject({ listed: 21, skipped: 17, failed: 4 });
  expect(result.terminationLog).toContain("small");
  expect(await readTree(scene.target)).toEqual(before);
});

test.concurrent("verify of one object looks at its file only", async () => {
  await using scene = await openFilled();
  const options = { path: "data/small/0003", target: `${scene.target}/small` };
  expect(await scene.run("verify", [], options)).toMatchObject({ exitCode: 0, report: { objects: { listed: 1 } } });
  await flipByte(`${scene.target}/small/0003`, 0);
  expect(await scene.run("verify", [], options)).toMatchObject({ exitCode: 6 });
});

test.concurrent("verify of a directory that does not exist is a fault of the target", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/a", "x");
  const result = await scene.run("verify", [], { target: `${scene.target}/nowhere` });
  expect(result).toMatchObject({ exitCode: 5 });
  expect(result.report?.reason).toContain("nowhere");
});
