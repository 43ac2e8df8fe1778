import { mkdir, readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { CopyReport } from "../../src/types.ts";
import { startCli } from "./support/cli.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, credentials, openScene, type Scene, type SceneOptions } from "./support/scene.ts";
import { pathsIn } from "./support/tree.ts";
import { freePort, peakRssOf, until } from "./support/waiting.ts";

async function openFilled(options: SceneOptions = {}): Promise<Scene> {
  const scene = await openScene(options);
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 20, sizeBytes: 3000 });
  return scene;
}

/** Every field of the contract, by the type of its value. */
const shape = {
  schema: "string",
  outcome: "string",
  exitCode: "number",
  reason: "string",
  verb: "string",
  version: "string",
  source: { bucket: "string", path: "string", endpoint: "string", region: "string" },
  target: "string",
  shard: "null",
  dryRun: "boolean",
  sourceDigest: "string",
  startedAt: "string",
  firstStartedAt: "string",
  resumedFrom: "null",
  finishedAt: "string",
  durationSeconds: "number",
  objects: { listed: "number", copied: "number", skipped: "number", failed: "number", resumed: "number" },
  bytes: { listed: "number", copied: "number", skipped: "number", received: "number" },
  verified: { crc64: "number", md5: "number", lengthOnly: "number" },
  requests: { list: "number", get: "number", head: "number", retried: "number", throttled: "number" },
  throughput: { bytesPerSecond: "number", objectsPerSecond: "number", limitBytesPerSecond: "number" },
  waits: { sourceSeconds: "number", limiterSeconds: "number", diskSeconds: "number" },
  resources: { cpuSeconds: "number", peakRssBytes: "number" },
  durability: "string",
  failures: [],
  failuresOmitted: "number",
};

function shapeOf(value: unknown): unknown {
  if (value === null) return "null";
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object") return typeof value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, shapeOf(field)]));
}

test.concurrent("the report has every field of the contract, with numbers that agree", async () => {
  await using scene = await openFilled();
  const { report } = await scene.run("populate", ["--throughput", "100"]);

  expect(shapeOf(report)).toEqual(shape);
  expect(report).toMatchObject({
    schema: "oss-populator.report/v1",
    source: { bucket: bucketName, path: "data/", endpoint: scene.emulator.url, region: "cn-hangzhou" },
    target: scene.target,
    objects: { listed: 20, copied: 20, skipped: 0, failed: 0, resumed: 0 },
    bytes: { listed: 60_000, copied: 60_000, received: expect.any(Number) },
    throughput: { limitBytesPerSecond: 100_000_000 },
    requests: { get: 20, head: 0, retried: 0, throttled: 0 },
  });
  expect(report?.requests.list).toBe(scene.emulator.counters.list);
  expect(report?.bytes.received).toBeGreaterThanOrEqual(60_000);
  expect(report?.sourceDigest).toMatch(/^[0-9a-f]{64}$/);
  for (const time of [report?.startedAt, report?.finishedAt]) expect(time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  expect(report?.resources.peakRssBytes).toBeGreaterThan(20e6);
});

test.concurrent("volumes filled from the same source have the same digest, from another one another", async () => {
  await using scene = await openFilled();
  const digest = async (verb: "populate" | "copy" | "verify", target: string): Promise<unknown> => {
    await mkdir(target, { recursive: true });
    return (await scene.run(verb, [], { target })).report?.sourceDigest;
  };
  const first = await digest("populate", `${scene.scratch.path}/first`);
  expect(await digest("copy", `${scene.scratch.path}/second`)).toBe(first);
  expect(await digest("verify", `${scene.scratch.path}/second`)).toBe(first);
  scene.emulator.replaceObject(bucketName, "data/0003");
  expect(await digest("copy", `${scene.scratch.path}/second`)).not.toBe(first);
});

function expectBalance({ objects }: CopyReport): void {
  expect(objects.copied + objects.skipped + objects.failed).toBe(objects.listed);
}

test.concurrent("what was listed is copied, skipped or failed, whatever happened", async () => {
  await using scene = await openFilled();
  scene.emulator.putObject(bucketName, "data/bad//key", "x");
  scene.emulator.addFaults({ kind: "flipBit", at: 0, operation: "get", key: /000[3-7]$/ });
  const args = ["--retries", "0"];

  const first = await scene.run("copy", args);
  expect(first.report).toMatchObject({ objects: { listed: 21, copied: 15, skipped: 0, failed: 6 } });
  const second = await scene.run("copy", [...args, "--unsupported", "skip"]);
  expect(second.report).toMatchObject({ objects: { listed: 21, copied: 0, skipped: 16, failed: 5 } });
  for (const { report } of [first, second]) if (report) expectBalance(report);
});

test.concurrent("without a terminal standard error is JSON lines only, standard output is empty", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "status", status: 404, ossCode: "NoSuchKey", key: "data/0003" });
  const result = await scene.run("copy", ["--log-level", "debug"]);

  expect(result.stdout).toBe("");
  const lines = result.stderr.trimEnd().split("\n");
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({
      level: expect.stringMatching(/^(debug|info|warn|error)$/),
      time: expect.stringMatching(/Z$/),
      event: expect.any(String),
    });
  }
  expect(result.lines.filter(({ event }) => event === "object copied").length).toBe(19);
  expect(result.lines.filter(({ level }) => level === "warn")).toMatchObject([{ key: "data/0003", kind: "missing" }]);
});

test.concurrent("--log-format text writes for people, --log-level says how much", async () => {
  await using scene = await openFilled();
  const text = await scene.run("copy", ["--log-format", "text"]);
  expect(text.stderr).toContain("complete");
  expect(text.lines).toEqual([]);
  expect(await scene.run("copy", ["--log-level", "error"])).toMatchObject({ exitCode: 0, stderr: "" });
});

test.concurrent("--report - leaves the report alone on standard output", async () => {
  await using scene = await openFilled();
  const result = await scene.run("populate", ["--report", "-"]);
  expect(JSON.parse(result.stdout)).toMatchObject({ schema: "oss-populator.report/v1", exitCode: 0 });
  expect(result.stderr).not.toContain("oss-populator.report");
});

test.concurrent("the termination log is one short line, however much went wrong", async () => {
  await using scene = await openScene();
  const name = "long name ".repeat(24).trim();
  for (let index = 0; index < 150; index++) {
    scene.emulator.putObject(bucketName, `data/${index}/${name}/${name}//${name}`, "x");
  }
  const result = await scene.run("copy");

  expect(result.exitCode).toBe(4);
  const text = result.terminationLog ?? "";
  expect(Buffer.byteLength(text)).toBeLessThan(4096);
  expect(text.trimEnd()).not.toContain("\n");
  const line = JSON.parse(text);
  expect(line).toMatchObject({ outcome: "failed", exitCode: 4, objects: { listed: 150, failed: 150 } });
  expect(line.failures.length).toBeGreaterThan(0);
  expect(line.failures.length + line.failuresOmitted).toBe(150);
  expect(result.report?.failures.length).toBe(100);
  expect(result.report?.failuresOmitted).toBe(50);
});

test.concurrent("a termination log or report that cannot be written is a warning", async () => {
  await using scene = await openFilled();
  const nowhere = `${scene.scratch.path}/nowhere/file`;
  const result = await scene.run("populate", ["--termination-log", nowhere, "--report", nowhere]);
  expect(result.exitCode).toBe(0);
  const warnings = result.lines.filter(({ level }) => level === "warn");
  expect(warnings.length).toBe(2);
  for (const { problem } of warnings) expect(problem).toContain(nowhere);
});

test.concurrent("metrics, health and progress are served while it runs", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 1500, operation: "get", key: /001.$/ });
  const port = await freePort();
  const args = ["--metrics-listen", `127.0.0.1:${port}`, "--owner-uid", "the-claim"];
  await using run = scene.start("populate", args);
  const get = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text();
  await until("ten objects", async () => {
    const metrics = await get("/metrics").catch(() => "");
    return /oss_populator_objects_total\{outcome="copied"\} 10\b/.test(metrics);
  });

  expect(await get("/healthz")).toBe("ok\n");
  expect(JSON.parse(await get("/progress"))).toMatchObject({ phase: "copying" });
  const metrics = await get("/metrics");
  expect(metrics).toMatch(/oss_populator_listing_complete 1\b/);
  expect(metrics).toMatch(/oss_populator_listed_objects_total 20\b/);
  expect(metrics).toMatch(/kubevirt_cdi_import_progress_total\{ownerUID="the-claim"\} \d/);
  expect(metrics).not.toContain("data/");
  expect(await run.result).toMatchObject({ exitCode: 0 });
});

test.concurrent("an address for metrics that cannot be had is a wrong option, and nothing is written", async () => {
  await using scene = await openFilled();
  const result = await scene.run("populate", ["--metrics-listen", scene.emulator.endpoint]);
  expectRefusal(result, 2, "--metrics-listen", "in use");
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a terminal gets a live view and a summary", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 2500, operation: "get", key: /001.$/ });
  const result = await inTerminal(scene, scene.target);

  expect(result.exitCode).toBe(0);
  expect(result.stdout).toContain("\u001b["); // the view is drawn over itself
  expect(result.stdout).toContain("20 copied, 0 skipped, 0 failed, ");
  expect(result.stdout).toContain("\u001b[32minfo"); // a line of the log, coloured as the view is
  expect(result.stdout).not.toContain('{"level"');
});

test.concurrent("a terminal does not have to wait after a failure", async () => {
  await using scene = await openFilled();
  const result = await inTerminal(scene, `${scene.target}/nowhere`);
  expect(result.exitCode).toBe(5);
  expect(result.stdout).toContain("nowhere");
  expect(result.stdout).not.toContain("holding");
});

/** Runs populate with everything on a pseudo-terminal, whose text is the standard output of the result. */
function inTerminal(scene: Scene, target: string) {
  const script = `exec script -qec "stty cols 100 rows 30; exec $(printf "'%s' " "$@")" /dev/null`;
  const wrapper = ["sh", "-c", script, "sh"];
  const options = { target, wrapper, env: { ...credentials, TERM: "xterm-256color" } };
  return scene.run("populate", [], { ...options, without: ["fail-hold", "report", "termination-log"] });
}

test.concurrent("every option can be a variable, and an option wins over its variable", async () => {
  await using scene = await openFilled();
  const env = {
    ...credentials,
    OSS_POPULATOR_BUCKET: "another",
    OSS_POPULATOR_PATH: "data/",
    OSS_POPULATOR_ENDPOINT: scene.emulator.url,
    OSS_POPULATOR_REGION: "cn-hangzhou",
    OSS_POPULATOR_TARGET: scene.target,
    OSS_POPULATOR_FAIL_HOLD: "0s",
    OSS_POPULATOR_THROUGHPTU: "5",
  };
  const result = await startCli(["populate", "--bucket", bucketName], { env }).result;
  expect(result.exitCode).toBe(0);
  expect(await pathsIn(scene.target)).toHaveLength(20);
  expect(result.stderr).toContain("OSS_POPULATOR_THROUGHPUT");
});

test.concurrent("an inline spec and arguments alone do as well as a file", async () => {
  await using scene = await openFilled();
  const spec = JSON.stringify({ bucket: bucketName, region: "cn-hangzhou", path: "/data", throughput: 1000 });
  const result = await scene.run("populate", ["--spec", spec], { without: ["bucket", "path", "region"] });
  expect(result).toMatchObject({ exitCode: 0, report: { throughput: { limitBytesPerSecond: 1e9 } } });
});

test.concurrent("no secret comes out, whatever is logged and wherever it fails", async () => {
  await using scene = await openFilled();
  const token = "a-token/with+special=characters";
  const secret = "s3cr3t/with+special=characters";
  scene.emulator.addCredential({ accessKeyId: "STS.id", accessKeySecret: secret, securityToken: token });
  const env = {
    ALIBABA_CLOUD_ACCESS_KEY_ID: "STS.id",
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: secret,
    ALIBABA_CLOUD_SECURITY_TOKEN: token,
  };
  const secrets = [token, secret, encodeURIComponent(token), encodeURIComponent(secret)];
  const args = ["--log-level", "debug", "--retries", "1"];
  expect(await scene.run("copy", args, { env, secrets })).toMatchObject({ exitCode: 0 });
  // A service that repeats what it was sent.
  const message = `you sent ${token} signed with ${secret}`;
  scene.emulator.addFaults({ kind: "status", status: 403, ossCode: "AccessDenied", message });
  expect(await scene.run("copy", args, { env, secrets })).toMatchObject({ exitCode: 3 });
  scene.emulator.clearFaults();
  scene.emulator.addFaults({ kind: "reset" });
  expect(await scene.run("copy", args, { env, secrets })).toMatchObject({ exitCode: 7 });
});

test.concurrent("memory stays bounded while large objects pass", async () => {
  await using scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 6, sizeBytes: 40 * 2 ** 20 });
  await using run = scene.start("populate", ["--memory", "16MiB", "--throughput", "200"]);
  const peakBytes = await peakRssOf(run);
  const { exitCode, report } = await run.result;

  expect(exitCode).toBe(0);
  expect(peakBytes).toBeLessThan(250e6);
  // Looked at somewhat earlier and later than our last look.
  expect(Math.abs((report?.resources.peakRssBytes ?? 0) / peakBytes - 1)).toBeLessThan(0.2);
});

test.concurrent("the report is there before the process ends, and never half written", async () => {
  await using scene = await openFilled();
  await using run = scene.start("populate", ["--fail-hold", "20s"], { target: `${scene.target}/nowhere` });
  await run.said(/holding/);
  const report = JSON.parse(await readFile(`${scene.scratch.path}/run-1.report.json`, "utf8"));
  expect(report).toMatchObject({ exitCode: 5, outcome: "failed" });
});
