import { chmod, symlink, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { mountExt4, mountTmpfs, notMounted, remountReadOnly } from "./support/mounts.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom, pathsIn, readTree } from "./support/tree.ts";

async function openFilled(count = 5, sizeBytes = 1000): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count, sizeBytes });
  return scene;
}

test.concurrent("a target that is not empty is refused, naming what is there", async () => {
  await using scene = await openFilled();
  await writeFile(`${scene.target}/precious.txt`, "mine");
  const before = await readTree(scene.target);
  expectRefusal(await scene.run("populate"), 5, "precious.txt", "not empty", "--allow-non-empty");
  expect(await readTree(scene.target)).toEqual(before);
  expect(scene.emulator.counters).toMatchObject({ get: 0 });
});

test.concurrent("a target on a read-only filesystem is refused", async (context) => {
  await using scene = await openFilled();
  await using volume = await mountTmpfs(scene.scratch.path, "size=1m");
  if (volume === undefined) return context.skip(notMounted);
  await remountReadOnly(volume);
  expectRefusal(await scene.run("populate", [], { target: volume.path }), 5, volume.path, "read-only");
  expectRefusal(await scene.run("populate", ["--dry-run"], { target: volume.path }), 5, volume.path, "read-only");
  expectRefusal(await scene.run("copy", [], { target: volume.path }), 5, volume.path, "read-only");
});

test.concurrent("a target that may not be written to is refused, with whom it belongs to and who we are", async (context) => {
  if (process.getuid?.() !== 0) return context.skip("needs root, to be someone else");
  await using scene = await openFilled();
  await chmod(scene.scratch.path, 0o777);
  const wrapper = ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "--no-new-privs"];
  expectRefusal(await scene.run("populate", [], { wrapper }), 5, scene.target, "uid 1234", "fsGroup");
  expect(await pathsIn(scene.target)).toEqual([]);
});

for (const verb of ["populate", "copy"] as const) {
  test.concurrent(`${verb} refuses a target that is a file`, async () => {
    await using scene = await openFilled();
    const target = `${scene.scratch.path}/file`;
    await writeFile(target, "mine");
    expectRefusal(await scene.run(verb, [], { target }), 5, target, "not a directory");
  });
}

test.concurrent("populate refuses a target that does not exist", async () => {
  await using scene = await openFilled();
  const target = `${scene.scratch.path}/nowhere`;
  expectRefusal(await scene.run("populate", [], { target }), 5, target, "does not exist");
  expect(await pathsIn(scene.scratch.path)).not.toContain("nowhere/");
});

test.concurrent("a target that is a symlink to a directory is that directory", async () => {
  await using scene = await openFilled();
  const target = `${scene.scratch.path}/link`;
  await symlink(scene.target, target);
  expect(await scene.run("populate", [], { target })).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
});

test.concurrent("what does not fit is refused before the first byte, with needed and available bytes", async (context) => {
  await using scene = await openFilled(40, 100_000);
  await using volume = await mountExt4(scene.scratch.path, 2 ** 21);
  if (volume === undefined) return context.skip(notMounted);
  expectRefusal(await scene.run("populate", [], { target: volume.path }), 5, "needs", "bytes", "available");
  expectRefusal(await scene.run("copy", [], { target: volume.path }), 5, "needs", "bytes", "available");
  expect(await pathsIn(volume.path)).toEqual(["lost+found/"]);
  expect(scene.emulator.counters).toMatchObject({ get: 0 });
});

test.concurrent("too many files for the inodes are refused before the first byte", async (context) => {
  await using scene = await openFilled(100, 10);
  await using volume = await mountTmpfs(scene.scratch.path, "size=10m,nr_inodes=50");
  if (volume === undefined) return context.skip(notMounted);
  expectRefusal(await scene.run("populate", [], { target: volume.path }), 5, "needs", "inodes", "available");
  expect(await pathsIn(volume.path)).toEqual([]);
});

test.concurrent("a volume that somebody else fills up meanwhile is an honest failure", async (context) => {
  await using scene = await openFilled(8, 1_000_000);
  await using volume = await mountTmpfs(scene.scratch.path, "size=10m");
  if (volume === undefined) return context.skip(notMounted);
  scene.emulator.addFaults({ kind: "delay", ms: 1500, operation: "get" });
  await using run = scene.start("populate", ["--retries", "0"], { target: volume.path });
  await run.said(/listing complete/);
  await writeFile(`${volume.path}/filler`, Buffer.alloc(6_000_000));
  expectRefusal(await run.result, 5, "no space");
});

test.concurrent("files that are there already take no further room", async (context) => {
  await using scene = await openFilled(10, 100_000);
  await using volume = await mountTmpfs(scene.scratch.path, "size=1200k");
  if (volume === undefined) return context.skip(notMounted);
  expect(await scene.run("copy", [], { target: volume.path })).toMatchObject({ exitCode: 0 });
  expect(await scene.run("copy", [], { target: volume.path })).toMatchObject({ exitCode: 0 });
});
