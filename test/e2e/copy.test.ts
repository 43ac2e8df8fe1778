import { execFileSync } from "node:child_process";
import { link, readFile, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom, pathsIn, readTree } from "./support/tree.ts";

function fill({ emulator }: Scene): void {
  emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 60, sizeBytes: { min: 0, max: 9000 } });
  emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 2, sizeBytes: 9 * 2 ** 20 + 5 });
}

const prefix = "data/";

test.concurrent("copy makes its target, and a second copy fetches nothing", async () => {
  await using scene = await openScene();
  fill(scene);
  const target = `${scene.scratch.path}/new/target`;

  const first = await scene.run("copy", [], { target });
  expect(first).toMatchObject({ exitCode: 0, report: { objects: { listed: 62, copied: 62, skipped: 0 } } });
  expect(await differencesFrom(scene.bucket, target, { prefix })).toEqual([]);
  scene.emulator.resetCounters();

  const second = await scene.run("copy", [], { target });
  expect(second).toMatchObject({ exitCode: 0, report: { objects: { listed: 62, copied: 0, skipped: 62 } } });
  expect(scene.emulator.counters).toMatchObject({ get: 0, head: 0 });
});

test.concurrent("copy replaces what differs and leaves foreign files alone", async () => {
  await using scene = await openScene();
  fill(scene);
  await scene.run("copy");
  await writeFile(`${scene.target}/foreign.txt`, "mine");
  await truncate(`${scene.target}/small/0003`, 1);
  await utimes(`${scene.target}/small/0007`, 1, 1);
  scene.emulator.replaceObject(bucketName, "data/small/0011");
  scene.emulator.resetCounters();

  const result = await scene.run("copy");

  expect(result).toMatchObject({ exitCode: 0, report: { objects: { copied: 3, skipped: 59 } } });
  expect(scene.emulator.counters).toMatchObject({ get: 3 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix, ignore: ["foreign.txt"] })).toEqual([]);
  expect(await readFile(`${scene.target}/foreign.txt`, "utf8")).toBe("mine");
});

test.concurrent("--overwrite decides about a file that differs", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/file", "from the bucket", { lastModifiedMs: 1_600_000_000_000 });
  const file = `${scene.target}/file`;
  const contentAfter = async (mode: string, mtimeSeconds: number): Promise<string> => {
    await writeFile(file, "local");
    await utimes(file, mtimeSeconds, mtimeSeconds);
    expect(await scene.run("copy", ["--overwrite", mode])).toMatchObject({ exitCode: 0 });
    return readFile(file, "utf8");
  };

  expect(await contentAfter("never", 1)).toBe("local");
  expect(await contentAfter("older", 1_700_000_000)).toBe("local");
  expect(await contentAfter("older", 1_500_000_000)).toBe("from the bucket");
  expect(await contentAfter("always", 1_700_000_000)).toBe("from the bucket");
});

test.concurrent("a file keeps its old content under its name until the new one is verified", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/file", "a".repeat(1000));
  await scene.run("copy");
  const before = await readTree(scene.target);
  scene.emulator.replaceObject(bucketName, "data/file");
  scene.emulator.addFaults({ kind: "flipBit", at: 10, operation: "get" });

  expect(await scene.run("copy", ["--retries", "0"])).toMatchObject({ exitCode: 6 });

  expect(await readTree(scene.target)).toEqual(before);
  expect(await readFile(`${scene.target}/file`, "utf8")).toBe("a".repeat(1000));
});

test.concurrent("one bad object does not keep copy from the others", async () => {
  await using scene = await openScene();
  fill(scene);
  scene.emulator.addFaults({ kind: "flipBit", at: 0, operation: "get", key: "data/large/0001" });

  const result = await scene.run("copy", ["--retries", "1"]);

  expect(result).toMatchObject({ exitCode: 6, report: { objects: { copied: 61, failed: 1 } } });
  expect(result.report?.failures).toMatchObject([{ key: "data/large/0001", kind: "corrupt" }]);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([
    "large/0001: nothing instead of a file",
  ]);
});

test.concurrent("without modification times every copy fetches everything", async () => {
  await using scene = await openScene();
  fill(scene);
  await scene.run("copy", ["--no-mtime"]);
  scene.emulator.resetCounters();

  expect(await scene.run("copy", ["--no-mtime"])).toMatchObject({ exitCode: 0, report: { objects: { copied: 62 } } });

  expect(scene.emulator.counters.get).toBeGreaterThanOrEqual(62);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix, mtimes: false })).toEqual([]);
});

test.concurrent("a directory where a file should stand is that object's failure and stays", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/a", "x");
  scene.emulator.putObject(bucketName, "data/b/c", "x");
  await scene.scratch.directory("target/a/inside");

  const result = await scene.run("copy");

  expect(result).toMatchObject({ exitCode: 5, report: { failures: [{ key: "data/a", kind: "occupied" }] } });
  expect(await pathsIn(scene.target)).toEqual(["a/", "a/inside/", "b/", "b/c"]);
});

test.concurrent("no symlink is followed, no hard link is written through, nothing but a file is opened", async () => {
  await using scene = await openScene();
  for (const name of ["linked/x", "hard", "pipe", "soft", "fine"]) {
    scene.emulator.putObject(bucketName, `data/${name}`, "from the bucket");
  }
  const outside = await scene.scratch.directory("outside");
  await writeFile(`${outside}/file`, "mine");
  await symlink(outside, `${scene.target}/linked`);
  await symlink(`${outside}/file`, `${scene.target}/soft`);
  await link(`${outside}/file`, `${scene.target}/hard`);
  execFileSync("mkfifo", [`${scene.target}/pipe`]);

  const result = await scene.run("copy");

  expect(result.exitCode).toBe(5);
  const failed = result.report?.failures.map(({ key }) => key);
  expect(failed?.toSorted()).toEqual(["data/linked/x", "data/pipe", "data/soft"]);
  expect(await readFile(`${outside}/file`, "utf8")).toBe("mine");
  expect(await pathsIn(outside)).toEqual(["file"]);
  expect(await readFile(`${scene.target}/hard`, "utf8")).toBe("from the bucket");
  const tree = await readTree(scene.target);
  expect([tree.get("soft")?.kind, tree.get("linked")?.kind, tree.get("pipe")?.kind]).toEqual([
    "symlink",
    "symlink",
    "other",
  ]);
});
