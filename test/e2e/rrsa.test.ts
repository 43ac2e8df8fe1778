import { chmod, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { listen } from "../contract/transport-server.ts";
import type { CliRun } from "./support/cli.ts";
import { expectRefusal } from "./support/refusal.ts";
import { openRrsa, type RrsaOptions, type RrsaScene } from "./support/rrsa.ts";
import { bucketName, openScene } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";
import { countNames } from "./support/waiting.ts";

const prefix = "data/";
const mib = 2 ** 20;
const smallCount = 100;
/** Three seconds of copying at least, enough to reach into the middle of it. */
const slowly = ["--throughput", "1.5", "--concurrency", "16", "--log-level", "debug"];

/** One large object and many small ones. */
async function openFilled(options: RrsaOptions = {}): Promise<RrsaScene> {
  const scene = await openRrsa(options);
  scene.emulator.generate({ bucket: bucketName, prefix: "data/large/", count: 1, sizeBytes: 3 * mib + 77 });
  scene.emulator.generate({ bucket: bucketName, prefix: "data/small/", count: smallCount, sizeBytes: 10_000 });
  return scene;
}

/** Resolves when a run that logs everything has copied so many objects. */
async function untilCopied(run: CliRun, count: number): Promise<void> {
  while (run.stderr().split('"object copied"').length <= count) {
    if (run.child.exitCode !== null) throw new Error(`the run ended before ${count} objects:\n${run.stderr()}`);
    await setTimeout(10);
  }
}

async function expectWhole(scene: RrsaScene): Promise<void> {
  expect(await differencesFrom(scene.bucket, scene.target, { prefix })).toEqual([]);
}

test.concurrent("credentials end twice and the token is replaced twice in the middle of a copy, and nothing fails", async () => {
  await using scene = await openFilled();
  await using run = scene.start("populate", slowly, { env: scene.env });
  for (const [count, token] of [
    [10, "the-second-token-of-the-account"],
    [50, "the-third-token-of-the-account"],
  ] as const) {
    await untilCopied(run, count);
    await scene.rotate(token);
    scene.sts.expireIssued();
  }
  const result = await run.result;

  expect([result.exitCode, result.report?.reason]).toEqual([0, `${smallCount + 1} objects copied and verified`]);
  expect(result.report).toMatchObject({ objects: { copied: smallCount + 1, failed: 0 }, failures: [] });
  expect(scene.sts.counters).toMatchObject({ assumeRole: 3, issued: 3 });
  expect(scene.tokensSeen()).toHaveLength(3);
  expect(scene.emulator.counters.byStatus[403]).toBeGreaterThanOrEqual(2);
  expect(scene.leaks(result)).toEqual([]);
  await expectWhole(scene);
});

test.concurrent("credentials are renewed before they end", async () => {
  await using scene = await openFilled({ lifetimeSeconds: 4 });
  await using run = scene.start("populate", slowly.with(1, "0.7"), { env: scene.env });
  expect(await run.result).toMatchObject({ exitCode: 0, report: { objects: { failed: 0 } } });
  expect(scene.sts.counters.issued).toBeGreaterThanOrEqual(3);
  await expectWhole(scene);
});

test.concurrent("a copy waits while the security token service is away, and goes on when it is back", async () => {
  await using scene = await openFilled();
  await using run = scene.start("populate", slowly, { env: scene.env });
  await untilCopied(run, 10);
  scene.emulator.addFaults({ kind: "reset", operation: "sts" });
  scene.sts.expireIssued();
  await run.said(/no new credentials yet, asking again/);
  await setTimeout(2500);
  expect(await countNames(`${scene.target}/small`)).toBeLessThan(smallCount);
  expect(run.child.exitCode).toBe(null);
  scene.emulator.clearFaults();
  const result = await run.result;

  expect(result).toMatchObject({ exitCode: 0, report: { objects: { copied: smallCount + 1, failed: 0 } } });
  expect(scene.leaks(result)).toEqual([]);
  await expectWhole(scene);
});

test.concurrent("a security token service that stays away ends the run as trouble that passes, and the next one goes on", async () => {
  await using scene = await openFilled();
  await using run = scene.start("populate", [...slowly, "--retry-for", "1s"], { env: scene.env });
  await untilCopied(run, 10);
  scene.emulator.addFaults({ kind: "status", status: 503, ossCode: "ServiceUnavailable", operation: "sts" });
  scene.sts.expireIssued();
  const result = await run.result;
  expectRefusal(result, 7, "SecurityTokenExpired", "cannot assume role", "503", "ServiceUnavailable");
  scene.emulator.clearFaults();

  const next = await scene.run("populate", [], { env: scene.env });
  expect(next).toMatchObject({ exitCode: 0, report: { objects: { copied: smallCount + 1 } } });
  expect(next.report?.objects.resumed).toBeGreaterThan(0);
  await expectWhole(scene);
});

test.concurrent("a role that is taken away in the middle of a copy is a refusal, and no other identity is tried", async () => {
  await using scene = await openFilled();
  // Of these, the role of the environment comes first.
  const env = { ...scene.env, ALIBABA_CLOUD_CREDENTIALS_URI: scene.sts.credentialsUri };
  await using run = scene.start("populate", slowly, { env });
  await untilCopied(run, 10);
  scene.sts.failNext("assumeRole", 9, { status: 404, code: "EntityNotExist.Role", message: "The role not exists." });
  scene.sts.expireIssued();
  const result = await run.result;
  expectRefusal(result, 3, "there is no such role: The role not exists. (status 404, EntityNotExist.Role, request");
  expect(scene.sts.counters.credentialsUri).toBe(0);
});

test.concurrent("a service that is away at the start is waited for, and given up after the retries", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "reset", operation: "sts", times: 3 });
  const options = { env: scene.env, path: "data/small/0001" };
  expect(await scene.run("copy", [], options)).toMatchObject({ exitCode: 0 });
  expect(scene.sts.counters.assumeRole).toBe(4);
  scene.emulator.addFaults({ kind: "reset", operation: "sts" });
  expectRefusal(await scene.run("copy", ["--retries", "1"], options), 7, "no answer from STS at", scene.sts.endpoint);
});

test.concurrent("a token that STS does not take is a refusal with its code and words, before anything is listed", async () => {
  await using scene = await openFilled();
  await writeFile(scene.tokenFile, "a-token-of-somebody-else\n");
  const result = await scene.run("populate", [], { env: scene.env, secrets: ["a-token-of-somebody-else"] });
  const words = "the service account's token is not accepted: This JWT is invalid.";
  expectRefusal(result, 3, words, "AuthenticationFail.OIDCToken.Invalid");
  expect(scene.emulator.counters).toMatchObject({ list: 0 });
  await rm(scene.tokenFile);
  expectRefusal(await scene.run("populate", [], { env: scene.env }), 3, scene.tokenFile, "does not exist");
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a token that our user may not read is a refusal that names what to change in the pod", async (context) => {
  if (process.getuid?.() !== 0) return context.skip("needs root, to become another user");
  await using scene = await openFilled();
  await chmod(scene.scratch.path, 0o755);
  await chmod(scene.target, 0o777);
  await chmod(scene.tokenFile, 0o600);
  const wrapper = ["setpriv", "--reuid", "1234", "--regid", "1234", "--clear-groups", "--no-new-privs"];
  const result = await scene.run("populate", [], { env: scene.env, wrapper, without: ["report", "termination-log"] });
  expect(result.exitCode).toBe(3);
  for (const words of [scene.tokenFile, "user 1234", "fsGroup", "defaultMode"]) expect(result.stderr).toContain(words);
});

for (const minutes of [20, -20]) {
  test.concurrent(`a clock that is ${minutes} minutes off is corrected for STS and OSS from their own`, async () => {
    await using scene = await openFilled({ clockOffsetMs: minutes * 60_000 });
    const result = await scene.run("populate", ["--throughput", "100"], { env: scene.env });
    expect(result).toMatchObject({ exitCode: 0, report: { objects: { failed: 0 } } });
    expect(scene.sts.counters).toMatchObject({ issued: 1 });
    await expectWhole(scene);
  });
}

test.concurrent("what is issued in the middle of a run never comes out, though the service repeats it", async () => {
  await using scene = await openScene();
  scene.emulator.putObject(bucketName, "data/a", "x");
  const issued = { AccessKeyId: "STS.key", AccessKeySecret: "issued/secret+1", SecurityToken: "issued/token+2==" };
  scene.emulator.addCredential({
    accessKeyId: issued.AccessKeyId,
    accessKeySecret: issued.AccessKeySecret,
    securityToken: issued.SecurityToken,
  });
  const uri = createServer((_, response) => {
    response.end(JSON.stringify({ ...issued, Code: "Success", Expiration: "2999-01-01T00:00:00Z" }));
  });
  const env = { ALIBABA_CLOUD_CREDENTIALS_URI: `http://127.0.0.1:${await listen(uri)}/`, HOME: scene.scratch.path };
  const own = [issued.AccessKeySecret, issued.SecurityToken];
  const secrets = [...own, ...own.map((secret) => encodeURIComponent(secret))];
  const message = `you sent ${secrets.join(" and ")}`;
  scene.emulator.addFaults({ kind: "status", status: 403, ossCode: "AccessDenied", message, operation: "get" });

  const noInstance = { ALIBABA_CLOUD_ECS_METADATA_DISABLED: "true" };
  const result = await scene.run("copy", ["--log-level", "debug"], { env: { ...env, ...noInstance }, secrets });
  uri.close();
  expectRefusal(result, 3, "AccessDenied", "you sent [redacted] and [redacted]");
});
