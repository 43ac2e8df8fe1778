import { expect, test } from "vitest";
import type { ObjectOptions } from "../emulator/stored-object.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene } from "./support/scene.ts";
import { pathsIn } from "./support/tree.ts";

/** Keys below the directory that cannot be files, and what a reason must say of them. */
const impossible: readonly (readonly [string, string, ...string[]])[] = [
  ["a step up", "../x", "../x"],
  ["a step up on the way", "a/../../x", ".."],
  ["a step to itself", "./x", "./x"],
  ["an empty segment", "a//b", "a//b"],
  ["a leading slash", "/a", "/a"],
  ["a segment of 300 bytes", `${"x".repeat(300)}/y`, "255"],
  ["a segment of 300 bytes in 100 characters", "中".repeat(100), "255"],
  ["a NUL", "nul\0byte", "NUL"],
  ["the filesystem's own directory", "lost+found/x", "lost+found"],
  ["our state directory", ".oss-populator/owner.json", ".oss-populator"],
];

test.concurrent.each(impossible)("a key with %s fails before anything is written", async (_, name, ...words) => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/fine", "x");
  scene.emulator.putObject(bucketName, `data/${name}`, "x");

  const result = await scene.run("populate");

  expectRefusal(result, 4, ...words);
  expect(result.report).toMatchObject({ objects: { failed: 1 }, failures: [{ key: `data/${name}` }] });
  expect(await pathsIn(scene.target)).toEqual([]);
  expect(await pathsIn(scene.scratch.path)).not.toContain("x");
  expect(scene.emulator.counters).toMatchObject({ get: 0 });
});

test.concurrent("all impossible keys are reported together, or all skipped", async () => {
  await using scene = await openScene();
  for (const [, name] of impossible) scene.emulator.putObject(bucketName, `data/${name}`, "x");
  scene.emulator.putObject(bucketName, "data/fine", "x");
  const keys = impossible.map(([, name]) => `data/${name}`).sort();

  const failed = await scene.run("populate");
  expect(failed).toMatchObject({ exitCode: 4, report: { objects: { failed: keys.length, listed: keys.length + 1 } } });
  expect(failed.report?.failures.map(({ key }) => key).sort()).toEqual(keys);
  expect(await pathsIn(scene.target)).toEqual([]);

  const skipped = await scene.run("populate", ["--unsupported", "skip"]);
  expect(skipped).toMatchObject({ exitCode: 0, report: { objects: { copied: 1, skipped: keys.length, failed: 0 } } });
  expect(skipped.lines.filter(({ event }) => event === "object skipped").length).toBe(keys.length);
  expect(await pathsIn(scene.target)).toEqual(["fine"]);
});

test.concurrent("a key that needs a directory where another one is a file fails, naming both", async () => {
  await using scene = await openScene();
  for (const name of ["a", "a-b", "a/b"]) scene.emulator.putObject(bucketName, `data/${name}`, "x");
  expectRefusal(await scene.run("populate"), 4, '"data/a"', '"data/a/b"');
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a directory marker that has content fails", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/dir/", "content");
  expectRefusal(await scene.run("populate"), 4, '"data/dir/"', "7 bytes");
  expect(await pathsIn(scene.target)).toEqual([]);
});

const archives: readonly ObjectOptions[] = [
  { storageClass: "ColdArchive" },
  { storageClass: "DeepColdArchive", restoreInfo: 'ongoing-request="true"' },
];

for (const options of archives) {
  test.concurrent(`an object in ${options.storageClass} fails before anything is written`, async () => {
    await using scene = await openScene();
    scene.emulator.putObject(bucketName, "data/cold", "x", options);
    expectRefusal(await scene.run("populate"), 4, '"data/cold"', "restored");
    expect(await pathsIn(scene.target)).toEqual([]);
    expect(scene.emulator.counters).toMatchObject({ get: 0 });
  });
}

test.concurrent("an archived object that only the service knows to be unreadable fails, or is skipped", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/cold", "x", { storageClass: "Archive" });
  scene.emulator.putObject(bucketName, "data/warm", "x");
  expectRefusal(await scene.run("copy"), 4, "data/cold", "restored");
  const skipped = await scene.run("copy", ["--unsupported", "skip"]);
  expect(skipped).toMatchObject({ exitCode: 0, report: { objects: { skipped: 2, failed: 0 } } });
  expect(await pathsIn(scene.target)).toEqual(["warm"]);
});

test.concurrent("odd names that are possible arrive as they are", async () => {
  await using scene = await openScene();
  const names = ["...", "..a", "a b", " ", "tab\tnewline\n", "back\\slash", "%2e%2e", "x".repeat(255), "-rf", "~"];
  for (const name of names) scene.emulator.putObject(bucketName, `data/${name}`, name);
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });
  expect(await pathsIn(scene.target)).toEqual(names.toSorted());
});
