import { expect, test } from "vitest";
import type { Fault } from "../emulator/faults.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, credentials, openScene, type Scene, type SceneOptions } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";

const prefix = "data/";
const small = "data/small/0002";
const large = "data/large/0000";

/** Small objects that are fetched whole, and one that is fetched in ranges. */
async function openFilled(options: SceneOptions = {}): Promise<Scene> {
  const scene = await openScene(options);
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 5, sizeBytes: 3000 });
  scene.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 3 * 2 ** 20 + 77 });
  return scene;
}

const inRanges = ["--part-size", "1MiB"];

/** Faults that hit one request, which the default retries must outlive. */
const transient: readonly (readonly [string, Fault])[] = [
  ["a 503 with Retry-After", { kind: "status", status: 503, retryAfter: 1, nth: 1, key: small }],
  ["a 500", { kind: "status", status: 500, nth: 2, key: large }],
  ["a reset before the head", { kind: "reset", nth: 1, key: small }],
  ["a reset in the body", { kind: "resetAfter", bytes: 300_000, nth: 2, key: large }],
  ["a body that ends early", { kind: "truncateAt", bytes: 1000, nth: 1, key: small }],
  ["a range that ends early", { kind: "truncateAt", bytes: 500_000, nth: 3, key: large }],
  ["a delay", { kind: "delay", ms: 800, nth: 1, key: small }],
  ["a range that is ignored", { kind: "ignoreRange", nth: 2, key: large }],
  ["a wrong Content-Range", { kind: "wrongContentRange", nth: 2, key: large }],
  ["an answer that is shorter than the object", { kind: "wrongLength", nth: 1, key: small }],
  ["more bytes than announced", { kind: "extraBytes", bytes: 10, announced: false, nth: 1, key: small }],
  ["more bytes than the object has", { kind: "extraBytes", bytes: 10, nth: 1, key: small }],
  ["an answer that is no HTTP", { kind: "garbageHead", nth: 1, key: small }],
  ["a huge header", { kind: "hugeHeader", nth: 1, key: small }],
  ["a flipped bit in a small object", { kind: "flipBit", at: 100, nth: 1, key: small }],
  ["a flipped bit in one range", { kind: "flipBit", at: 500_000, nth: 2, key: large }],
  ["a small object that is replaced", { kind: "changeEtag", nth: 1, key: small }],
  ["a small object that is replaced by a shorter one", { kind: "changeEtag", sizeBytes: 10, nth: 1, key: small }],
  ["a large object that is replaced half-way", { kind: "changeEtag", nth: 2, key: large }],
  ["a large object that shrinks", { kind: "changeEtag", sizeBytes: 2 ** 20, nth: 2, key: large }],
  ["a failing listing", { kind: "status", status: 503, nth: 1, operation: "list" }],
  ["a cut listing", { kind: "cutXml", nth: 1, operation: "list" }],
  ["a listing that is reset", { kind: "resetAfter", bytes: 100, nth: 1, operation: "list" }],
];

test.concurrent.each(transient)("%s once does no harm", async (_, fault) => {
  await using scene = await openFilled();
  scene.emulator.addFaults(fault);

  const result = await scene.run("populate", inRanges);

  expect([result.exitCode, result.report?.reason]).toEqual([0, "6 objects copied and verified"]);
  expect(scene.emulator.faults.list()).toMatchObject([{ fired: 1 }]);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
  expect(result.report).toMatchObject({ objects: { copied: 6, failed: 0 }, verified: { crc64: 6 } });
});

test.concurrent("a connection that falls silent is given up and tried again", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "stall", afterBytes: 1000, nth: 1, key: small });
  expect(await scene.run("populate", ["--stall-timeout", "2s"])).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
});

/** Faults that hit every request for an object: the exit code, and a word of the reason. */
const permanent: readonly (readonly [string, Fault, number, string])[] = [
  ["a body that always ends early", { kind: "truncateAt", bytes: 1000, key: small }, 7, small],
  ["a server that always ignores ranges", { kind: "ignoreRange", key: large }, 7, large],
  ["a Content-Range that is always wrong", { kind: "wrongContentRange", key: large }, 7, large],
  ["a connection that always stalls", { kind: "stall", afterBytes: 1000, key: small }, 7, small],
  ["a bit that is always flipped", { kind: "flipBit", at: 100, key: small }, 6, small],
  ["a range whose bit is always flipped", { kind: "flipBit", at: 100, key: large }, 6, large],
  ["an object that keeps changing", { kind: "changeEtag", when: "before", key: small, operation: "get" }, 6, small],
  ["an object that is gone", { kind: "status", status: 404, ossCode: "NoSuchKey", key: small }, 4, small],
  ["an object that is throttled for ever", { kind: "status", status: 503, key: small }, 7, "503"],
];

test.concurrent.each(permanent)(
  "%s fails the object, and no file carries its name",
  async (_, fault, exitCode, word) => {
    await using scene = await openFilled();
    scene.emulator.addFaults(fault);
    // A busy machine is silent for a while, too.
    const limits = ["--retries", "1", "--stall-timeout", fault.kind === "stall" ? "2s" : "30s"];

    const result = await scene.run("copy", [...inRanges, ...limits]);

    expectRefusal(result, exitCode, word);
    expect(result.report).toMatchObject({ objects: { listed: 6, copied: 5, failed: 1 } });
    expect(result.report?.failures.length).toBe(1);
    const file = (fault.key as string).slice(prefix.length); // all faults above have one
    expect(await pathsIn(scene.target)).not.toContain(file);
    expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([
      `${file}: nothing instead of a file`,
    ]);
  },
);

test.concurrent("several kinds of failure exit with the gravest", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults(
    { kind: "flipBit", at: 0, key: "data/small/0001" },
    { kind: "status", status: 404, ossCode: "NoSuchKey", key: "data/small/0002" },
    { kind: "truncateAt", bytes: 5, key: "data/small/0003" },
  );
  const result = await scene.run("copy", ["--retries", "1"]);
  expect(result).toMatchObject({ exitCode: 6, report: { objects: { copied: 3, failed: 3 } } });
  expect(new Set(result.report?.failures.map(({ kind }) => kind))).toEqual(
    new Set(["corrupt", "missing", "interrupted"]),
  );
});

test.concurrent("a stack of a defect is shown, and its exit code is 1", async () => {
  await using scene = await openFilled();
  // Hashing is used for signatures and names alike.
  const sabotage =
    "import c from 'node:crypto';import{syncBuiltinESMExports as s}from'node:module';c.createHash=()=>{throw new TypeError('sabotage')};s()";
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(sabotage)}`;
  const result = await scene.run("populate", [], { env: { ...credentials, NODE_OPTIONS } });
  expect(result).toMatchObject({ exitCode: 1, report: { exitCode: 1, reason: expect.stringContaining("sabotage") } });
  expect(result.stderr).toMatch(/TypeError: sabotage\\n {4}at /);
});
