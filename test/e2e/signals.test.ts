import { readFile, stat } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import type { CliResult, CliRun } from "./support/cli.ts";
import { mountTmpfs, notMounted } from "./support/mounts.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene, type Scene, type SceneOptions } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";
import { childOf, until } from "./support/waiting.ts";

const codes = { SIGINT: 130, SIGTERM: 143 } as const;
type Signal = keyof typeof codes;

async function openFilled(options: SceneOptions = {}): Promise<Scene> {
  const scene = await openScene(options);
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count: 20, sizeBytes: 3000 });
  scene.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 3 * 2 ** 20 });
  return scene;
}

/** What became of a run after a signal, and how long that took. */
async function stop(run: CliRun, signal: Signal, pid = run.pid): Promise<{ result: CliResult; tookMs: number }> {
  const sentMs = performance.now();
  process.kill(pid, signal);
  const result = await run.result;
  return { result, tookMs: performance.now() - sentMs };
}

function expectStopped({ result, tookMs }: { result: CliResult; tookMs: number }, signal: Signal): void {
  expect([result.exitCode, result.report?.outcome]).toEqual([codes[signal], "interrupted"]);
  expect(result.report).toMatchObject({ exitCode: codes[signal], reason: expect.stringContaining(signal) });
  expect(JSON.parse(result.terminationLog ?? "")).toMatchObject({ exitCode: codes[signal] });
  expect(result.stderr).not.toMatch(/\\n {4}at |\n {4}at /);
  expect(tookMs).toBeLessThan(2000);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} while listing stops at once, and nothing was written`, async () => {
    await using scene = await openFilled();
    scene.emulator.addFaults({ kind: "delay", ms: 30_000, operation: "list" });
    await using run = scene.start("populate");
    await until("a listing", () => scene.emulator.counters.list > 0);

    expectStopped(await stop(run, signal), signal);
    expect(await pathsIn(scene.target)).toEqual([]);
  });

  for (const verb of ["populate", "copy"] as const) {
    test(`${signal} while ${verb} copies stops at once, and another run completes`, async () => {
      await using scene = await openFilled();
      scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 1000, key: /large|small.001/, operation: "get" });
      await using run = scene.start(verb);
      await until("answers", () => scene.emulator.counters.objectBytesSent > 20_000);

      expectStopped(await stop(run, signal), signal);
      scene.emulator.clearFaults();
      expect(await scene.run(verb)).toMatchObject({ exitCode: 0 });

      expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
    });
  }
}

test("SIGTERM stops verify, and a run that waits for its next attempt", async () => {
  await using scene = await openFilled();
  expect(await scene.run("populate")).toMatchObject({ exitCode: 0 });
  scene.emulator.addFaults({ kind: "delay", ms: 30_000, operation: "head" });
  await using verify = scene.start("verify");
  await until("a head", () => scene.emulator.counters.head > 0);
  expectStopped(await stop(verify, "SIGTERM"), "SIGTERM");

  scene.emulator.addFaults({ kind: "status", status: 503, retryAfter: 30 });
  await using waiting = scene.start("verify");
  const lists = scene.emulator.counters.list;
  await until("a refusal", () => scene.emulator.counters.list > lists);
  await setTimeout(200);
  expectStopped(await stop(waiting, "SIGTERM"), "SIGTERM");
});

test("SIGTERM stops a run that waits for the rest of standard input", async () => {
  await using scene = await openFilled();
  const options = { stdin: "small/0001\n", keepStdinOpen: true };
  await using keys = scene.start("copy", ["--files-from", "-"], options);
  await keys.said(/starting/);
  await setTimeout(300);
  expectStopped(await stop(keys, "SIGTERM"), "SIGTERM");

  await using spec = scene.start("populate", ["--spec", "-"], { ...options, stdin: "bucket: some-bucket\n" });
  await setTimeout(500);
  const { result, tookMs } = await stop(spec, "SIGTERM");
  expect(result.exitCode).toBe(143);
  expect(tookMs).toBeLessThan(2000);
});

test("a run that has failed does not wait for the rest of standard input", async () => {
  await using scene = await openFilled();
  const options = { stdin: "small/0001\n".repeat(1001), keepStdinOpen: true, bucket: "no-such-bucket" };
  const result = await scene.run("copy", ["--files-from", "-"], options);
  expectRefusal(result, 3, "NoSuchBucket");
  expect(result.elapsedMs).toBeLessThan(10_000);
});

test("a second signal ends the process at once, with the code of the first", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 1000, operation: "get" });
  await using run = scene.start("populate");
  await until("answers", () => scene.emulator.counters.get > 5);
  process.kill(run.pid, "SIGINT");
  await setTimeout(20); // at once, either could be the first
  const { result, tookMs } = await stop(run, "SIGTERM");
  expect(result.exitCode).toBe(130);
  expect(tookMs).toBeLessThan(2000);
});

test("a signal that comes twice at once is one: report and checkpoint are written", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 1000, key: /large|small.001/, operation: "get" });
  await using run = scene.start("populate");
  await until("answers", () => scene.emulator.counters.objectBytesSent > 20_000);
  process.kill(run.pid, "SIGTERM");
  await setTimeout(2); // at once, the kernel would make one of them
  expectStopped(await stop(run, "SIGTERM"), "SIGTERM");
  expect(await pathsIn(scene.target)).toContain(".oss-populator/checkpoint");
});

const asProcess1 = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child=SIGKILL"];

test("as process 1 of a container a signal stops it all the same", async (context) => {
  await using scene = await openFilled();
  await using volume = await mountTmpfs(scene.scratch.path, "size=40m");
  if (volume === undefined) return context.skip(notMounted);
  scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 1000, operation: "get" });
  await using run = scene.start("populate", [], { target: volume.path, wrapper: asProcess1 });
  await until("answers", () => scene.emulator.counters.get > 5);

  expectStopped(await stop(run, "SIGTERM", await childOf(run.pid)), "SIGTERM");
  scene.emulator.clearFaults();
  expect(await scene.run("populate", [], { target: volume.path, wrapper: asProcess1 })).toMatchObject({ exitCode: 0 });

  expect(await differencesFrom(scene.bucket, volume.path, { prefix: "data/" })).toEqual([]);
});

test("as process 1 it refuses a target where no volume is mounted", async (context) => {
  await using scene = await openFilled();
  await using volume = await mountTmpfs(scene.scratch.path, "size=1m");
  if (volume === undefined) return context.skip(notMounted);
  // The root filesystem of the container, for this purpose, is whatever the scratch directory is on.
  const onRoot = await sameDevice(scene.target);
  if (!onRoot) return context.skip("needs a temporary directory on the filesystem of /");
  const result = await scene.run("populate", [], { wrapper: asProcess1 });
  expectRefusal(result, 5, scene.target, "mounted", "--allow-root-filesystem");
  expect(await pathsIn(scene.target)).toEqual([]);
  const allowed = await scene.run("populate", ["--allow-root-filesystem"], { wrapper: asProcess1 });
  expect(allowed).toMatchObject({ exitCode: 0 });
});

async function sameDevice(path: string): Promise<boolean> {
  const [a, b] = await Promise.all([stat(path), stat("/")]);
  return a.dev === b.dev;
}

test("as process 1 wrong options hold, and a signal ends that with their code", async (context) => {
  await using scene = await openScene();
  await using volume = await mountTmpfs(scene.scratch.path, "size=1m");
  if (volume === undefined) return context.skip(notMounted);
  const options = { wrapper: asProcess1, without: ["fail-hold"] };
  await using run = scene.start("populate", ["--retries", "many"], options);
  await run.said(/holding/);

  const { result, tookMs } = await stop(run, "SIGTERM", await childOf(run.pid));

  expectRefusal(result, 2, "--retries");
  expect(tookMs).toBeLessThan(2000);
});

test("a failure is held, with report and termination log in place, until a signal", async () => {
  await using scene = await openFilled();
  await using run = scene.start("populate", [], { bucket: "no-such-bucket", without: ["fail-hold"] });
  await run.said(/holding/);
  const trace = async (name: string) => JSON.parse(await readFile(`${scene.scratch.path}/run-1.${name}`, "utf8"));
  expect(await trace("termination-log")).toMatchObject({ exitCode: 3 });
  expect(await trace("report.json")).toMatchObject({ exitCode: 3 });

  const { result, tookMs } = await stop(run, "SIGTERM");

  expectRefusal(result, 3, "NoSuchBucket");
  expect(tookMs).toBeLessThan(2000);
});

test("--fail-hold says how long a failure is held; success is not held", async () => {
  await using scene = await openFilled();
  const held = await scene.run("populate", ["--fail-hold", "2s"], { bucket: "no-such-bucket" });
  expect(held.exitCode).toBe(3);
  expect(held.elapsedMs).toBeGreaterThan(2000);
  expect(held.lines.find(({ event }) => event.startsWith("holding"))).toMatchObject({ seconds: 2 });
  const fine = await scene.run("populate", ["--fail-hold", "30s"]);
  expect(fine.exitCode).toBe(0);
  expect(fine.stderr).not.toContain("holding");
});

test("copy does not hold unless told to", async () => {
  await using scene = await openFilled();
  const result = await scene.run("copy", [], { bucket: "no-such-bucket", without: ["fail-hold"] });
  expect(result.exitCode).toBe(3);
  expect(result.stderr).not.toContain("holding");
});
