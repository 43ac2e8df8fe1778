import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import OSS from "ali-oss";
import pLimit from "p-limit";
import { expect, test } from "vitest";
import { addDemoSet } from "../emulator/demo-set.ts";
import { mountExt4, notMounted } from "./support/mounts.ts";
import { bucketName, credentials, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom, pathsIn, readTree } from "./support/tree.ts";

const mib = 2 ** 20;
const spec = await readFile(new URL("../config/fixtures/object.yaml", import.meta.url), "utf8");
const specBucket = "my-test-bucket";
/** Given by the spec, so that only endpoint, credentials and target come from elsewhere. */
const givenBySpec = ["bucket", "path", "region"];

function fill(scene: Scene) {
  const bucket = scene.emulator.bucket(specBucket);
  addDemoSet(bucket, { prefix: "many-files/", smallCount: 800, largeBytes: [24 * mib, 9 * mib + 1, 8 * mib] });
  scene.emulator.putObject(specBucket, "many-files-old/other.bin", "not below the path");
  return bucket;
}

test.concurrent("a pod fills a fresh ext4 volume from the spec that users of ACK write", async (context) => {
  await using scene = await openScene();
  const bucket = fill(scene);
  await using volume = await mountExt4(scene.scratch.path, 192 * mib);
  if (volume === undefined) return context.skip(notMounted);
  const before = (await readTree(volume.path)).get("lost+found");

  const result = await scene.run("populate", ["--spec", "-"], {
    stdin: spec,
    target: volume.path,
    without: givenBySpec,
  });

  expect(result.stderr).not.toContain('"level":"error"');
  expect(result.exitCode).toBe(0);
  expect(await differencesFrom(bucket, volume.path, { prefix: "many-files/", ignore: ["lost+found"] })).toEqual([]);
  const tree = await readTree(volume.path);
  expect(tree.get("lost+found")).toEqual(before);
  tree.delete("lost+found");
  for (const [path, { kind, mode }] of tree) {
    expect([path, mode.toString(8)]).toEqual([path, kind === "directory" ? "755" : "644"]);
  }
  expect(result.report).toMatchObject({ outcome: "complete", exitCode: 0, durability: "syncfs" });
  const audit = await scene.run("verify", [], { bucket: specBucket, path: "many-files/", target: volume.path });
  expect(audit).toMatchObject({ exitCode: 0, report: { objects: { failed: 0 } } });
});

const ways: readonly (readonly string[])[] = [
  ["--transport", "undici"],
  ["--threads", "2"],
  ["--part-size", "64KiB", "--memory", "4MiB", "--concurrency", "3"],
  ["--signature", "v1"],
];

for (const way of ways) {
  test.concurrent(`populate ${way.join(" ")} makes the same volume`, async () => {
    await using scene = await openScene();
    addDemoSet(scene.bucket, { prefix: "data/", smallCount: 30, largeBytes: [9 * mib + 1] });
    expect(await scene.run("populate", way)).toMatchObject({ exitCode: 0, report: { objects: { failed: 0 } } });
    expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
  });
}

test.concurrent("over TLS with several threads the volume is the same, and every read is conditional", async () => {
  await using scene = await openScene({ tls: true });
  addDemoSet(scene.bucket, { prefix: "data/", smallCount: 30, largeBytes: [9 * mib + 1] });
  const args = ["--threads", "2"];
  const env = { ...credentials, NODE_EXTRA_CA_CERTS: scene.emulator.caFile };
  expect(await scene.run("populate", args, { env })).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
  const { get, ifMatch, rangeDefault, acceptGzip, head } = scene.emulator.counters;
  expect([ifMatch, rangeDefault, acceptGzip, head]).toEqual([get, 0, 0, 0]);
});

test.concurrent("a volume that is full already and equal to the listing is a success without one GET", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 40, sizeBytes: { min: 0, max: 9000 } });
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });
  const before = await readTree(scene.target);
  scene.emulator.resetCounters();

  const again = await scene.run("populate");

  const objects = { listed: 40, copied: 0, skipped: 40 };
  expect(again).toMatchObject({ exitCode: 0, report: { objects, durability: "syncfs" } });
  expect(scene.emulator.counters).toMatchObject({ get: 0 });
  expect(await readTree(scene.target)).toEqual(before);
});

test.concurrent("a second pod with another result in mind does not take a full volume for its own", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 4, sizeBytes: 100 });
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });
  const before = await readTree(scene.target);
  scene.emulator.putObject(bucketName, "data/new.bin", "not there yet");

  const again = await scene.run("populate");

  expect(again).toMatchObject({ exitCode: 5 });
  expect(again.report?.reason).toContain("new.bin");
  expect(await readTree(scene.target)).toEqual(before);
});

test.concurrent("ali-oss downloads the same bytes as populate", async () => {
  await using scene = await openScene();
  addDemoSet(scene.bucket, { prefix: "data/", smallCount: 40, largeBytes: [9 * mib] });
  const byAliOss = await scene.scratch.directory("ali-oss");

  await downloadWithAliOss(scene, byAliOss);
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });

  // ali-oss makes no directory for the marker of an empty one, which is the only path of its own.
  const ours = (await pathsIn(scene.target)).filter((path) => path !== "nested/empty-directory/");
  expect(ours).toEqual(await pathsIn(byAliOss));
  for (const path of ours.filter((name) => !name.endsWith("/"))) {
    const [a, b] = await Promise.all([readFile(join(scene.target, path)), readFile(join(byAliOss, path))]);
    expect([path, a.equals(b)]).toEqual([path, true]);
  }
});

async function downloadWithAliOss({ emulator, bucket }: Scene, directory: string): Promise<void> {
  const client = new OSS({
    accessKeyId: credentials.ALIBABA_CLOUD_ACCESS_KEY_ID,
    accessKeySecret: credentials.ALIBABA_CLOUD_ACCESS_KEY_SECRET,
    bucket: bucketName,
    region: "oss-cn-hangzhou",
    endpoint: emulator.url,
  });
  const limit = pLimit(8);
  const download = async (key: string): Promise<void> => {
    const path = join(directory, key.slice("data/".length));
    await mkdir(dirname(path), { recursive: true });
    await client.get(key, path);
  };
  const keys = [...bucket.keys("data/")].filter((key) => !key.endsWith("/"));
  await Promise.all(keys.map((key) => limit(() => download(key))));
}
