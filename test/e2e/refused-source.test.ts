import { once as emitted } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { StsServer } from "../emulator/sts.ts";
import { expectRefusal } from "./support/refusal.ts";
import { bucketName, credentials, openScene, type Scene, type SceneOptions } from "./support/scene.ts";
import { differencesFrom, pathsIn } from "./support/tree.ts";

async function openFilled(options: SceneOptions = {}): Promise<Scene> {
  const scene = await openScene(options);
  scene.emulator.generate({ bucket: bucketName, prefix: "data/", count: 5, sizeBytes: 1000 });
  return scene;
}

const once = ["--retries", "1"];

test.concurrent("an unknown bucket is named", async () => {
  await using scene = await openFilled();
  expectRefusal(await scene.run("populate", [], { bucket: "no-such-bucket" }), 3, "no-such-bucket");
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a path with nothing below is named, unless that is accepted", async () => {
  await using scene = await openFilled();
  expectRefusal(await scene.run("populate", [], { path: "dat" }), 3, '"dat"', "--allow-empty");
  expect(await pathsIn(scene.target)).toEqual([]);
  expect(await scene.run("populate", ["--allow-empty"], { path: "dat" })).toMatchObject({ exitCode: 0 });
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("keys that no request can carry are refused and not shown", async () => {
  await using scene = await openScene();
  for (const name of ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"] as const) {
    const env = { ...credentials, [name]: `${credentials[name]}\n` };
    const result = await scene.run("populate", [], { env });
    expectRefusal(result, 3, name.endsWith("ID") ? "access key ID" : "access key secret", "line break");
    expect(result.stderr).not.toContain(credentials.ALIBABA_CLOUD_ACCESS_KEY_SECRET);
  }
});

test.concurrent("a server of credentials that drips for ever does not keep a failed run alive", async () => {
  await using scene = await openScene();
  const drip = createServer((socket) => {
    socket.on("error", () => {}).write("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
    const dripping = setInterval(() => socket.write("x"), 100);
    socket.on("close", () => clearInterval(dripping));
  }).listen(0, "127.0.0.1");
  await emitted(drip, "listening");
  const { port } = drip.address() as AddressInfo;
  const env = {
    ALIBABA_CLOUD_CREDENTIALS_URI: `http://127.0.0.1:${port}/`,
    ALIBABA_CLOUD_ECS_METADATA_DISABLED: "true",
  };
  expectRefusal(await scene.run("populate", [], { env }), 3, "credentials URI");
  drip.close();
});

test.concurrent("without any credentials the ways to give some are told", async () => {
  await using scene = await openFilled();
  const env = { HOME: scene.scratch.path, ALIBABA_CLOUD_ECS_METADATA_DISABLED: "true" };
  const result = await scene.run("populate", [], { env });
  expectRefusal(result, 3, "credentials");
  expect(scene.emulator.counters).toMatchObject({ list: 0 });
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a wrong secret is a refusal that names the code and no secret", async () => {
  await using scene = await openFilled();
  const secret = "another-secret-that-is-wrong";
  const env = { ...credentials, ALIBABA_CLOUD_ACCESS_KEY_SECRET: secret };
  expectRefusal(await scene.run("populate", [], { env, secrets: [secret] }), 3, "SignatureDoesNotMatch");
  expect(scene.emulator.counters).toMatchObject({ list: 1 });
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a wrong region is a refusal", async () => {
  await using scene = await openFilled();
  expectRefusal(await scene.run("populate", ["--region", "cn-beijing"]), 3, "region");
});

test.concurrent("missing permission for the objects is a refusal of the source", async () => {
  await using scene = await openFilled();
  scene.emulator.addCredential({ accessKeyId: "lister", accessKeySecret: "lister-secret", allow: ["list"] });
  const env = { ALIBABA_CLOUD_ACCESS_KEY_ID: "lister", ALIBABA_CLOUD_ACCESS_KEY_SECRET: "lister-secret" };
  expectRefusal(await scene.run("populate", [], { env, secrets: ["lister-secret"] }), 3, "AccessDenied", "data/");
});

test.concurrent("an anonymous run reads a public bucket, and is refused by another", async () => {
  await using scene = await openFilled();
  expectRefusal(await scene.run("populate", ["--anonymous"], { env: {} }), 3, "AccessDenied");
  scene.bucket.publicRead = true;
  expect(await scene.run("populate", ["--anonymous"], { env: {} })).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
});

test.concurrent("an expired token that cannot be renewed is a refusal", async () => {
  await using scene = await openFilled();
  const token = "a-token-that-nobody-may-see";
  const expired = { accessKeyId: "STS.old", accessKeySecret: "old-secret", securityToken: token, expiresAtMs: 1 };
  scene.emulator.addCredential(expired);
  const env = {
    ALIBABA_CLOUD_ACCESS_KEY_ID: expired.accessKeyId,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: expired.accessKeySecret,
    ALIBABA_CLOUD_SECURITY_TOKEN: token,
  };
  const result = await scene.run("populate", [], { env, secrets: [token, expired.accessKeySecret] });
  expectRefusal(result, 3, "SecurityTokenExpired");
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a token that expires on the way is renewed", async () => {
  await using scene = await openFilled();
  await using sts = await StsServer.start({ emulator: scene.emulator });
  const gone = { kind: "status", status: 403, ossCode: "SecurityTokenExpired" } as const;
  scene.emulator.addFaults({ ...gone, operation: "get", nth: 2 });
  const env = { ALIBABA_CLOUD_CREDENTIALS_URI: sts.credentialsUri };

  expect(await scene.run("populate", [], { env })).toMatchObject({ exitCode: 0 });

  expect(sts.counters.credentialsUri).toBeGreaterThanOrEqual(2);
  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
});

test.concurrent("a role is assumed with an OIDC token, and one that cannot be is no reason for another identity", async () => {
  await using scene = await openFilled();
  await using sts = await StsServer.start({ emulator: scene.emulator });
  const tokenFile = `${scene.scratch.path}/token`;
  await writeFile(tokenFile, `${sts.oidcToken}\n`);
  const env = { ...credentials, NODE_EXTRA_CA_CERTS: sts.caFile };
  const provider = ["--oidc-provider-arn", sts.oidcProviderArn, "--oidc-token-file", tokenFile];
  const args = [...provider, "--sts-endpoint", sts.endpoint];
  const secrets = [sts.oidcToken];

  const other = "acs:ram::1234567890123456:role/another";
  expectRefusal(await scene.run("populate", [...args, "--role-arn", other], { env, secrets }), 3, "another");
  expect(scene.emulator.counters).toMatchObject({ list: 0 });
  expect(await pathsIn(scene.target)).toEqual([]);
  const result = await scene.run("populate", [...args, "--role-arn", sts.roleArn], { env, secrets });
  expect(result).toMatchObject({ exitCode: 0 });
  expect(scene.emulator.requests.every(({ headers }) => headers["x-oss-security-token"] !== undefined)).toBe(true);
});

for (const minutes of [20, -20]) {
  test.concurrent(`a clock that is ${minutes} minutes off is corrected from the server's`, async () => {
    await using scene = await openFilled({ clockOffsetMs: minutes * 60_000 });
    const result = await scene.run("populate");
    expect(result).toMatchObject({ exitCode: 0 });
    expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
  });
}

test.concurrent("a clock that correction does not help is a refusal", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "status", status: 403, ossCode: "RequestTimeTooSkewed" });
  expectRefusal(await scene.run("populate"), 3, "RequestTimeTooSkewed");
  expect(scene.emulator.counters.list).toBeLessThan(5);
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("an endpoint that refuses connections is trouble that passes", async () => {
  await using scene = await openFilled();
  const free = await openScene();
  const endpoint = free.emulator.url;
  await free[Symbol.asyncDispose]();
  const result = await scene.run("populate", once, { endpoint });
  expectRefusal(result, 7, endpoint.slice("http://".length), "connection refused");
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("an endpoint that does not resolve is trouble that passes", async () => {
  await using scene = await openFilled();
  expectRefusal(await scene.run("populate", once, { endpoint: "http://nowhere.invalid" }), 7, "nowhere.invalid");
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a certificate that we do not trust is told as such", async () => {
  await using scene = await openFilled({ tls: true });
  expectRefusal(await scene.run("populate", once), 7, "certificate");
});

test.concurrent("an endpoint with a certificate that we trust is read over TLS", async () => {
  await using scene = await openFilled({ tls: true });
  const env = { ...credentials, NODE_EXTRA_CA_CERTS: scene.emulator.caFile };
  expect(await scene.run("populate", [], { env })).toMatchObject({ exitCode: 0 });
  expect(await differencesFrom(scene.bucket, scene.target, { prefix: "data/" })).toEqual([]);
});

test.concurrent("a listing that loops is found out", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "repeatedToken", operation: "list" });
  expectRefusal(await scene.run("populate"), 3, "listing", "token");
  expect(await pathsIn(scene.target)).toEqual([]);
});

test.concurrent("a listing that is cut off is never taken for a whole one", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "cutXml", operation: "list" });
  expectRefusal(await scene.run("populate", once), 7, "listing");
  expect(await pathsIn(scene.target)).toEqual([]);
  expect(scene.emulator.counters).toMatchObject({ list: 2, get: 0 });
});

test.concurrent("a service that keeps failing is trouble that passes", async () => {
  await using scene = await openFilled();
  scene.emulator.addFaults({ kind: "status", status: 500 });
  expectRefusal(await scene.run("populate", once), 7, "500");
  scene.emulator.clearFaults();
  scene.emulator.addFaults({ kind: "status", status: 503, ossCode: "TotalQpsLimitExceeded" });
  expectRefusal(await scene.run("populate", once), 7, "TotalQpsLimitExceeded");
  expect(await pathsIn(scene.target)).toEqual([]);
});
