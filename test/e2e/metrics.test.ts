import { expect, test } from "vitest";
import { makeCertificate } from "../emulator/certificate.ts";
import { recordHttp } from "../support/http-recorder.ts";
import { startCli } from "./support/cli.ts";
import { bucketName, openScene, type Scene } from "./support/scene.ts";
import { get, numberOf, servedAt } from "./support/served-metrics.ts";

const uid = "4c0a8a2e-7d11-4d2c-9f0e-6f0f3c1a2b3d";

async function openFilled(): Promise<Scene> {
  const scene = await openScene();
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 20, sizeBytes: 3000 });
  return scene;
}

const percentSeries = `kubevirt_cdi_import_progress_total{ownerUID="${uid}"}`;

test.concurrent("the metrics are pushed at the start and at the end, without a trace of the gateway's password", async () => {
  await using scene = await openFilled();
  await using gateway = await recordHttp((response) => response.writeHead(202).end());
  const password = "the-password-of-the-gateway";
  const args = [
    ...["--metrics-push", `http://pusher:${password}@127.0.0.1:${gateway.port}`, "--log-level", "debug"],
    ...["--metrics-label", "claim=data/model", "--metrics-label", "namespace=argo", "--owner-uid", uid],
  ];
  const result = await scene.run("populate", args, { secrets: [password] });

  expect(result).toMatchObject({ exitCode: 0 });
  expect(result.lines.filter(({ level }) => level === "warn")).toEqual([]);
  expect(gateway.received.length).toBeGreaterThanOrEqual(2);
  const group = "/metrics/job/oss_populator/claim@base64/ZGF0YS9tb2RlbA/namespace/argo";
  const authorization = `Basic ${Buffer.from(`pusher:${password}`).toString("base64")}`;
  for (const push of gateway.received) expect(push).toMatchObject({ method: "PUT", url: group, authorization });
  const last = gateway.received.at(-1)?.body;
  expect(numberOf('oss_populator_objects_total{outcome="copied"}', last)).toBe(20);
  expect(numberOf("oss_populator_exit_code", last)).toBe(0);
  expect(numberOf("oss_populator_progress_ratio", last)).toBe(1);
  expect(numberOf(percentSeries, last)).toBe(100);
});

const gateways = [
  ["refuses", (response) => response.writeHead(400).end("bad labels"), "it answered 400, bad labels"],
  ["never answers", () => {}, "it took too long"],
] as const satisfies readonly (readonly [string, Parameters<typeof recordHttp>[0], string])[];

test.concurrent.each(gateways)("a gateway that %s is a warning and changes nothing", async (_, answer, words) => {
  await using scene = await openFilled();
  await using gateway = await recordHttp(answer);
  await using run = scene.start("populate", ["--metrics-push", gateway.url]);
  await run.said(/"event":"complete"/);
  const endedMs = performance.now();
  const result = await run.result;
  // Three seconds at most, and some more for a busy machine.
  expect(performance.now() - endedMs).toBeLessThan(10_000);

  expect(result).toMatchObject({ exitCode: 0, report: { outcome: "complete" } });
  const problems = result.lines.filter(({ event }) => event === "metrics").map(({ problem }) => problem);
  expect(problems.at(-1)).toBe(`cannot push the metrics to ${gateway.url}: ${words}`);
});

test.concurrent("a failure is pushed before the hold, and whoever waits for our end is told after it", async () => {
  await using scene = await openFilled();
  await using server = await recordHttp();
  scene.emulator.addFaults({ kind: "status", status: 404, ossCode: "NoSuchKey", key: "data/0003" });
  const args = ["--metrics-push", server.url, "--quit-url", `${server.url}/quitquitquit`, "--fail-hold", "30s"];
  await using run = scene.start("populate", args);
  await run.said(/holding before the exit/);
  expect(numberOf("oss_populator_exit_code", server.received.at(-1)?.body)).toBe(4);
  expect(server.received.every(({ method }) => method === "PUT")).toBe(true);
  run.child.kill("SIGTERM");

  const { exitCode, report, terminationLog } = await run.result;
  expect([exitCode, report?.exitCode]).toEqual([4, 4]);
  expect(terminationLog).toContain('"exitCode":4');
  expect(server.received.at(-1)).toMatchObject({ method: "POST", url: "/quitquitquit", body: "" });
});

test.concurrent("a sidecar is told to quit after a success, a signal and wrong options alike", async () => {
  await using scene = await openFilled();
  await using sidecar = await recordHttp();
  const env = { OSS_POPULATOR_QUIT_URL: `${sidecar.url}/quit` };
  const quit = ["--quit-url", `${sidecar.url}/quit`];
  expect(await scene.run("copy", quit)).toMatchObject({ exitCode: 0 });
  expect(sidecar.received).toHaveLength(1);
  expect(await startCli(["populate", "--throughput", "fast"], { env }).result).toMatchObject({ exitCode: 2 });
  expect(sidecar.received).toHaveLength(2);
  scene.emulator.addFaults({ kind: "delay", ms: 20_000, operation: "get" });
  await using run = scene.start("populate", quit, { target: await scene.scratch.directory("another") });
  await run.said(/listing complete/);
  run.child.kill("SIGTERM");
  expect(await run.result).toMatchObject({ exitCode: 143 });
  expect(sidecar.received.map(({ method, url }) => `${method} ${url}`)).toEqual(Array(3).fill("POST /quit"));
});

test.concurrent("a sidecar that is not there is a warning and changes nothing", async () => {
  await using scene = await openFilled();
  const gone = await recordHttp();
  await gone[Symbol.asyncDispose]();
  const result = await scene.run("populate", ["--quit-url", `${gone.url}/quit?token=x`]);
  expect(result).toMatchObject({ exitCode: 0 });
  expect(result.lines.at(-1)).toMatchObject({ level: "warn", problem: expect.stringContaining("ECONNREFUSED") });
  expect(result.stderr).not.toContain("token=x");
});

test.concurrent("a gateway and a sidecar may have certificates of a private authority, which --ca-file names", async () => {
  await using scene = await openFilled();
  await using certificate = await makeCertificate();
  await using server = await recordHttp(undefined, certificate);
  const outlets = ["--metrics-push", server.url, "--quit-url", `${server.url}/quit`];
  const refused = await scene.run("populate", outlets);
  expect(refused.exitCode).toBe(0);
  const problems = refused.lines.flatMap(({ level, problem }) => (level === "warn" ? [problem] : []));
  expect(problems.length).toBeGreaterThanOrEqual(2);
  for (const problem of problems) expect(problem).toMatch(/^cannot (push|tell) .*: self-signed certificate/);
  expect(server.received).toEqual([]);

  const trusting = [...outlets, "--ca-file", certificate.caFile];
  const result = await scene.run("populate", trusting, { target: await scene.scratch.directory("another") });
  expect(result.exitCode).toBe(0);
  expect(result.lines.filter(({ level }) => level === "warn")).toEqual([]);
  expect(numberOf("oss_populator_exit_code", server.received.at(-2)?.body)).toBe(0);
  expect(server.received.at(-1)).toMatchObject({ method: "POST", url: "/quit" });

  const before = server.received.length;
  expect(await scene.run("populate", [...trusting, "--throughput", "fast"])).toMatchObject({ exitCode: 2 });
  expect(server.received.slice(before)).toMatchObject([{ method: "POST", url: "/quit" }]);
});

test.concurrent("a certificate file that has none is told as wrong options are", async () => {
  await using scene = await openFilled();
  await using sidecar = await recordHttp();
  const args = ["--metrics-push", sidecar.url, "--quit-url", `${sidecar.url}/quit`, "--ca-file", "/nothing-there"];
  const result = await scene.run("populate", args);
  expect(result).toMatchObject({ exitCode: 2, report: { exitCode: 2 } });
  expect(result.report?.reason).toContain("--ca-file: cannot use /nothing-there: ENOENT");
  expect(sidecar.received.at(-1)).toMatchObject({ method: "POST", url: "/quit" });
});

test.concurrent("a free port for the metrics is told in the log, and serves metrics, health and progress", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "drip", bytesPerSecond: 500, operation: "get", nth: 20 });
  await using run = scene.start("populate", ["--metrics-listen", ":0", "--throughput", "50"]);
  const url = await servedAt(run);
  await run.said(/listing complete/);
  expect(await get(`${url}/healthz`)).toBe("ok\n");
  expect(await get(`${url}/metrics`)).toMatch(/^oss_populator_listed_objects_total 20$/m);
  expect(JSON.parse(await get(`${url}/progress`))).toMatchObject({
    phase: "copying",
    listed: { objects: 20, bytes: 60_000 },
    listingComplete: true,
    limitBytesPerSecond: 50_000_000,
    waits: { sourceSeconds: expect.any(Number) },
    ratio: expect.any(Number),
  });
  expect(await run.result).toMatchObject({ exitCode: 0 });
});
