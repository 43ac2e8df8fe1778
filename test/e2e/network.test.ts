import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { soakSeconds, soakTimeout } from "../support/soak.ts";
import { openGate } from "./support/gate.ts";
import { startNameServer } from "./support/name-server.ts";
import { makeNetwork } from "./support/network.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { differencesFrom } from "./support/tree.ts";
import { until } from "./support/waiting.ts";

const prefix = "data/";
const mib = 2 ** 20;
const noNetwork = "needs the right to make network namespaces, and iproute2";
/** A minute in the long form, as an outage of a service takes at least. */
const outageMs = soakSeconds > 0 ? 60_000 : 2500;

async function openFilled(count = 120): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count, sizeBytes: { min: 0, max: 9000 } });
  scene.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 4 * mib + 1 });
  return scene;
}

const args = ["--concurrency", "6", "--part-size", "512KiB"];

async function expectEqual(scene: Scene): Promise<void> {
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
}

/** The other verb takes the same way through the engine: in the long form only. */
for (const verb of soakSeconds > 0 ? (["populate", "copy"] as const) : (["populate"] as const)) {
  test.concurrent(`a service that refuses connections for a while and comes back loses ${verb} nothing but time`, {
    timeout: soakTimeout,
  }, async () => {
    await using scene = await openFilled();
    scene.emulator.addFaults({ kind: "delay", ms: 15, operation: "get" });
    await using gate = await openGate(scene.emulator.port);
    await using run = scene.start(verb, args, { endpoint: gate.url });
    await until("requests", () => scene.emulator.counters.get > 40);
    await gate.close();
    await setTimeout(outageMs);
    await gate.open();
    const result = await run.result;
    expect([result.exitCode, result.report?.objects]).toMatchObject([0, { copied: 121, failed: 0 }]);
    await expectEqual(scene);
  });
}

test.concurrent("a service that does not come back ends the run after --retry-for; what is done is kept", {
  timeout: soakTimeout,
}, async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "delay", ms: 15, operation: "get" });
  await using gate = await openGate(scene.emulator.port);
  await using run = scene.start("populate", [...args, "--retry-for", "4s"], { endpoint: gate.url });
  await until("requests", () => scene.emulator.counters.get > 60);
  await gate.close();
  const result = await run.result;
  expectRefusal(result, 7, "connection refused", "--retry-for");
  scene.emulator.clearFaults();

  const again = await scene.run("populate", args);

  expect(again).toMatchObject({ exitCode: 0, report: { resumedFrom: expect.any(String) } });
  expect(again.report?.objects.resumed).toBeGreaterThan(20);
  await expectEqual(scene);
});

test.concurrent("a service that refuses every object ends a copy of any length, and soon", {
  timeout: soakTimeout,
}, async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix, count: 100_000, sizeBytes: 10 });
  scene.emulator.addFaults({ kind: "status", status: 503, operation: "get" });
  const result = await scene.run("copy", ["--retries", "2", "--retry-for", "4s"]);
  expectRefusal(result, 7, "503", "--retry-for");
  expect(result.report?.objects.failed).toBeLessThan(20_000);
});

test.concurrent("pages of a listing are retried one by one", { timeout: soakTimeout }, async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix, count: 5500, sizeBytes: 0 });
  scene.emulator.addFaults({ kind: "status", status: 503, operation: "list", nth: 2, every: 2 });
  const result = await scene.run("populate", ["--dry-run"]);
  expect(result).toMatchObject({ exitCode: 0, report: { objects: { listed: 5500 } } });
  // The first look, six pages, and every second request in vain.
  expect(scene.emulator.counters.list).toBeLessThan(20);
});

test.concurrent("packets that are lost without a word are noticed, and the run goes on when they arrive again", {
  timeout: soakTimeout,
}, async (context) => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "delay", ms: 15, operation: "get" });
  await using network = await makeNetwork(scene.scratch.path, scene.emulator.port);
  if (network === undefined) return context.skip(noNetwork);
  const limits = ["--stall-timeout", "1s", "--connect-timeout", "1s", "--addressing", "path"];
  await using run = scene.start("populate", [...args, ...limits], { endpoint: network.url, wrapper: network.wrapper });
  await until("requests", () => scene.emulator.counters.get > 40);
  await network.drop(true);
  await setTimeout(outageMs);
  await network.drop(false);
  const result = await run.result;
  expect([result.exitCode, result.report?.objects]).toMatchObject([0, { copied: 121, failed: 0 }]);
  expect(result.report?.requests.retried).toBeGreaterThan(0);
  await expectEqual(scene);
});

test.concurrent("packets that are lost for good end the run with 7, and another one goes on", {
  timeout: soakTimeout,
}, async (context) => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "delay", ms: 15, operation: "get" });
  await using network = await makeNetwork(scene.scratch.path, scene.emulator.port);
  if (network === undefined) return context.skip(noNetwork);
  const limits = ["--stall-timeout", "1s", "--connect-timeout", "1s", "--retry-for", "4s", "--addressing", "path"];
  const options = { endpoint: network.url, wrapper: network.wrapper };
  await using run = scene.start("populate", [...args, ...limits], options);
  await until("requests", () => scene.emulator.counters.get > 40);
  await network.drop(true);
  expectRefusal(await run.result, 7, "nothing has gone on for 4 s");
  await network.drop(false);
  scene.emulator.clearFaults();
  expect(await scene.run("populate", [...args, ...limits], options)).toMatchObject({ exitCode: 0 });
  await expectEqual(scene);
});

test.concurrent("100 ms and a lost packet in a hundred cost time only", { timeout: soakTimeout }, async (context) => {
  await using scene = await openFilled(40);
  await using network = await makeNetwork(scene.scratch.path, scene.emulator.port);
  if (network === undefined) return context.skip(noNetwork);
  if (!(await network.impair(100, 1))) return context.skip("the kernel has no netem");
  const options = { endpoint: network.url, wrapper: network.wrapper };
  expect(await scene.run("populate", [...args, "--addressing", "path"], options)).toMatchObject({ exitCode: 0 });
  await expectEqual(scene);
});

for (const mood of ["silent", "failing"] as const) {
  test.concurrent(`a name server that is ${mood} for a while is waited for, and not needed again`, {
    timeout: soakTimeout,
  }, async (context) => {
    await using scene = await openFilled(20);
    await using names = await startNameServer(scene.scratch.path);
    if (names === undefined) return context.skip("needs root, for a name server and a namespace of its own");
    names.mood = mood;
    const endpoint = `http://oss-cn-hangzhou.aliyuncs.com:${scene.emulator.port}`;
    const options = { endpoint, wrapper: names.wrapper };
    await using run = scene.start("populate", [...args, "--retries", "30"], options);
    await until("a question", () => names.asked > 0);
    await setTimeout(outageMs);
    names.mood = "answers";
    await until("requests", () => scene.emulator.counters.get > 2);
    names.mood = mood;
    expect(await run.result).toMatchObject({ exitCode: 0 });
    await expectEqual(scene);

    const never = await scene.run("copy", [...args, "--retries", "1"], options);
    expectRefusal(never, 7, `cannot resolve ${bucketName}.oss-cn-hangzhou.aliyuncs.com`);
  });
}

test.concurrent("a body that only trickles is given up and asked for again", {
  timeout: soakTimeout,
}, async (context) => {
  if (soakSeconds === 0) return context.skip("the least speed is judged over 30 s: in the long form only");
  await using scene = await openFilled(5);
  scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 1, operation: "get", key: "data/small/0003", nth: 1 });
  const result = await scene.run("populate", args);
  expect(result).toMatchObject({ exitCode: 0, report: { requests: { retried: 1 } } });
  await expectEqual(scene);
});
