import { readdir, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";
import { until } from "./support/waiting.ts";

/** Objects of little content below `data/`. */
function put({ emulator }: Scene, ...names: readonly string[]): void {
  for (const name of names) emulator.putObject(bucketName, `data/${name}`, `content of ${name}`);
}

test.concurrent("a dry run of populate plans everything and writes nothing", async () => {
  await using scene = await openScene();
  put(scene, "a", "b/c", "b/d/e");

  const result = await scene.run("populate", ["--dry-run"]);

  expect(result).toMatchObject({ exitCode: 0, report: { dryRun: true, durability: "none" } });
  expect(result.report).toMatchObject({
    objects: { listed: 3, copied: 0 },
    reason: expect.stringContaining("dry run"),
  });
  expect(await pathsIn(scene.target)).toEqual([]);
  expect(scene.emulator.counters).toMatchObject({ get: 0 });
});

test.concurrent("a dry run of populate starts no thread that moves data", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 1500, sizeBytes: 100 });
  const threadsOf = async (args: readonly string[]): Promise<number> => {
    const { list } = scene.emulator.counters;
    scene.emulator.clearFaults();
    scene.emulator.addFaults({ kind: "delay", ms: 60_000, operation: "list", nth: 2 });
    await using running = scene.start("populate", args);
    await until("the listing", () => scene.emulator.counters.list >= list + 2);
    return (await readdir(`/proc/${running.pid}/task`)).length;
  };
  expect(await threadsOf(["--dry-run"])).toBeLessThan(await threadsOf(["--threads", "1"]));
});

test.concurrent("a dry run of copy does not even make its target", async () => {
  await using scene = await openScene();
  put(scene, "a");
  const target = `${scene.scratch.path}/not-there`;

  expect(await scene.run("copy", ["--dry-run"], { target })).toMatchObject({ exitCode: 0 });

  expect(await pathsIn(scene.scratch.path)).not.toContain("not-there/");
});

test.concurrent("a dry run finds what would not fit, and keys that cannot be files", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/huge/", count: 1, sizeBytes: 2 ** 52 });
  expect(await scene.run("populate", ["--dry-run"])).toMatchObject({ exitCode: 5 });
  put(scene, "a//b");
  expect(await scene.run("populate", ["--dry-run", "--exclude", "huge/"])).toMatchObject({ exitCode: 4 });
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("--include and --exclude select by the path below the directory", async () => {
  await using scene = await openScene();
  put(scene, "a.bin", "a.txt", "sub/b.bin", "sub/c.txt", "sub/tmp/d.bin", ".hidden.bin");

  const result = await scene.run("populate", ["--include", "*.bin", "--exclude", "sub/tmp/**"]);

  expect(result).toMatchObject({ exitCode: 0, report: { objects: { listed: 3, copied: 3 } } });
  expect(await pathsIn(scene.target)).toEqual([".hidden.bin", "a.bin", "sub/", "sub/b.bin"]);
});

test.concurrent("filters that leave nothing are a success that says so", async () => {
  await using scene = await openScene();
  put(scene, "a.bin");
  const result = await scene.run("populate", ["--include", "*.nothing"]);
  expect(result).toMatchObject({ exitCode: 0, report: { objects: { listed: 0 }, reason: "nothing is selected" } });
  const warnings = result.lines.filter(({ level }) => level === "warn");
  expect(warnings).toMatchObject([{ event: "selection", problem: "nothing is selected" }]);
});

test.concurrent("--files-from takes exactly the listed keys, without a listing", async () => {
  await using scene = await openScene();
  put(scene, "a", "sub/b", "sub/中文 +&.txt", "unwanted");
  const list = `${scene.scratch.path}/keys`;
  await writeFile(list, "a\nsub/b\r\n\nsub/中文 +&.txt\n");

  expect(await scene.run("populate", ["--files-from", list])).toMatchObject({ exitCode: 0 });

  expect(await pathsIn(scene.target)).toEqual(["a", "sub/", "sub/b", "sub/中文 +&.txt"]);
  expect(scene.emulator.counters).toMatchObject({ list: 0, head: 3, get: 3 });
});

test.concurrent("--files-from reads standard input, and names a key that does not exist", async () => {
  await using scene = await openScene();
  put(scene, "a");

  const result = await scene.run("copy", ["--files-from", "-"], { stdin: "a\nmissing\n" });

  expect(result).toMatchObject({ exitCode: 4, report: { failures: [{ key: "data/missing", kind: "missing" }] } });
  expect(await pathsIn(scene.target)).toEqual(["a"]);
});

test.concurrent("a list of keys that cannot be read is a wrong option, and nothing was written", async () => {
  await using scene = await openScene();
  put(scene, "a");
  const directory = await scene.scratch.directory("list");
  for (const [file, why] of [
    [`${directory}/missing`, "no such file"],
    [directory, "is a directory"],
  ] as const) {
    for (const verb of ["populate", "copy"] as const) {
      expectRefusal(await scene.run(verb, ["--files-from", file]), 2, "--files-from", file, why);
      expect(await pathsIn(scene.target)).toEqual([]);
    }
  }
});

test.concurrent("a path without a slash takes one object under its base name", async () => {
  await using scene = await openScene({ path: "data/sub/model.bin" });
  put(scene, "sub/model.bin", "sub/model.bin.old", "other");

  expect(await scene.run("populate")).toMatchObject({ exitCode: 0, report: { objects: { listed: 1, copied: 1 } } });

  expect(await pathsIn(scene.target)).toEqual(["model.bin"]);
});

test.concurrent("a path takes what is below it and nothing whose name only begins alike", async () => {
  await using scene = await openScene({ path: "/data/model" });
  put(scene, "model/a", "model/b/c", "model-old/a", "model.txt", "model0");

  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });

  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/model/" })).toEqual([]);
  expect(await pathsIn(scene.target)).toEqual(["a", "b/", "b/c"]);
});

test.concurrent("a path that is both an object and a directory is refused, naming both", async () => {
  await using scene = await openScene({ path: "data/model" });
  put(scene, "model", "model/a");

  const result = await scene.run("populate");

  expect(result.exitCode).toBe(3);
  expect(result.report?.reason).toContain('"data/model"');
  expect(result.report?.reason).toContain('"data/model/"');
  expect(await pathsIn(scene.target)).toEqual([]);
  expect(await scene.run("populate", [], { path: "data/model/" })).toMatchObject({ exitCode: 0 });
  expect(await pathsIn(scene.target)).toEqual(["a"]);
});

test.concurrent("the marker of the directory itself is an existing, empty directory", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/", "");
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0, report: { objects: { listed: 1, copied: 1 } } });
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a marker of lost+found is passed over", async () => {
  await using scene = await openScene();
  put(scene, "a");
  scene.emulator.putObject(bucketName, "data/lost+found/", "");
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });
  expect(await pathsIn(scene.target)).toEqual(["a"]);
});

test.concurrent("an empty path takes the whole bucket", async () => {
  await using scene = await openScene({ path: "" });
  put(scene, "a", "b/c");
  scene.emulator.putObject(bucketName, "top", "x");
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, scene.target)).toEqual([]);
});

test.concurrent("symlink objects arrive as what they lead to", async () => {
  await using scene = await openScene();
  put(scene, "target.bin");
  scene.emulator.generate({ bucket: bucketName, prefix: "elsewhere/", count: 1, sizeBytes: 9 * 2 ** 20 });
  scene.emulator.putObject(bucketName, "data/link", "", { symlinkTarget: "data/target.bin" });
  scene.emulator.putObject(bucketName, "data/large-link", "", { symlinkTarget: "elsewhere/0000" });

  expect(await scene.run("populate")).toMatchObject({ exitCode: 0, report: { verified: { crc64: 3 } } });

  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
});

test.concurrent("a symlink that leads nowhere is that object's failure", async () => {
  await using scene = await openScene();
  put(scene, "a");
  scene.emulator.putObject(bucketName, "data/link", "", { symlinkTarget: "data/nowhere" });
  const result = await scene.run("copy");
  expect(result).toMatchObject({ exitCode: 4, report: { failures: [{ key: "data/link" }] } });
  expect(await pathsIn(scene.target)).toEqual(["a"]);
});

test.concurrent("a restored archive is copied like any object", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/cold", "restored", {
    storageClass: "ColdArchive",
    restoreInfo: 'ongoing-request="false", expiry-date="Thu, 01 Jan 2099 00:00:00 GMT"',
  });
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
});

test.concurrent("objects without a checksum are verified by what there is, and the report says by what", async () => {
  await using scene = await openScene();
  const old = { crc: false } as const;
  scene.emulator.putObject(bucketName, "data/with-md5", "x", { ...old, contentMd5: true });
  scene.emulator.putObject(bucketName, "data/etag-is-md5", "y", old);
  scene.emulator.putObject(bucketName, "data/nothing", "z", { ...old, type: "Multipart" });
  scene.emulator.putObject(bucketName, "data/with-crc", "w");

  const result = await scene.run("populate");

  expect(result).toMatchObject({ exitCode: 0, report: { verified: { crc64: 1, md5: 2, lengthOnly: 1 } } });
});
