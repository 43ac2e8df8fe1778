import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { createRequire } from "node:module";
import OSS from "ali-oss";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Emulator } from "./server.ts";
import { DEFAULT_OIDC_PROVIDER_ARN, DEFAULT_OIDC_TOKEN, DEFAULT_ROLE_ARN, StsServer } from "./sts.ts";

let emulator: Emulator;
let sts: StsServer;
let ca: Buffer;
beforeAll(async () => {
  emulator = await Emulator.start();
  emulator.putObject("bucket", "k", "data");
  sts = await StsServer.start({ emulator });
  ca = await readFile(sts.caFile);
});
afterAll(async () => {
  await sts[Symbol.asyncDispose]();
  await emulator[Symbol.asyncDispose]();
});
beforeEach(() => {
  emulator.clearFaults();
  sts.oidcToken = DEFAULT_OIDC_TOKEN;
});

interface Answer {
  readonly status: number | undefined;
  readonly date: string | undefined;
  readonly body: { readonly Code?: string; readonly Credentials?: Readonly<Record<string, string>> };
}

async function assume(changes: Record<string, string> = {}): Promise<Answer> {
  const form = new URLSearchParams({
    ...{ OIDCToken: DEFAULT_OIDC_TOKEN, RoleArn: DEFAULT_ROLE_ARN, OIDCProviderArn: DEFAULT_OIDC_PROVIDER_ARN },
    ...{ RoleSessionName: "test", DurationSeconds: "1800", ...changes },
  });
  const path = "?Action=AssumeRoleWithOIDC&Version=2015-04-01&Format=JSON";
  const call = request(`https://${sts.endpoint}/${path}`, { method: "POST", ca, agent: false });
  call.end(form.toString());
  const [response] = (await once(call, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(Buffer.from(part));
  return {
    status: response.statusCode,
    date: response.headers.date,
    body: JSON.parse(Buffer.concat(parts).toString()),
  };
}

function get(given: { accessKeyId: string; accessKeySecret: string; stsToken: string }): Promise<OSS.GetObjectResult> {
  const refreshSTSToken = () => Promise.resolve(given);
  const endpoint = `http://127.0.0.1:${emulator.port}`;
  return new OSS({ ...given, refreshSTSToken, bucket: "bucket", region: "oss-cn-hangzhou", endpoint }).get("k");
}

test("a role is assumed with the right token, and its credentials work until they expire", async () => {
  const { status, body } = await assume({ OIDCToken: `${DEFAULT_OIDC_TOKEN}\n` });
  const { AccessKeyId = "", AccessKeySecret = "", SecurityToken = "", Expiration = "" } = body.Credentials ?? {};
  expect([status, Expiration]).toEqual([200, expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)]);
  expect(Date.parse(Expiration) - Date.now()).toBeGreaterThan(1_790_000);
  const given = { accessKeyId: AccessKeyId, accessKeySecret: AccessKeySecret, stsToken: SecurityToken };
  expect((await get(given)).content.toString()).toBe("data");

  const short = sts.issue(0);
  const expired = {
    accessKeyId: short.accessKeyId,
    accessKeySecret: short.accessKeySecret,
    stsToken: short.securityToken,
  };
  await expect(get(expired)).rejects.toMatchObject({ code: "SecurityTokenExpired" });
  sts.expireIssued();
  await expect(get(given)).rejects.toMatchObject({ code: "SecurityTokenExpired" });
});

test.each([
  [{ OIDCToken: "stolen" }, 400, "AuthenticationFail.OIDCToken.Invalid"],
  [{ RoleArn: "acs:ram::1:role/other" }, 404, "EntityNotExist.Role"],
  [{ OIDCProviderArn: "acs:ram::1:oidc-provider/x" }, 404, "AuthenticationFail.OIDCProvider.NotExist"],
] as const)("a request with %j is answered with %i", async (changes, status, code) => {
  const answer = await assume(changes);
  expect([answer.status, answer.body.Code]).toEqual([status, code]);
});

test("a time that is too far off is refused, and the answer tells the right one", async () => {
  const answer = await assume({ Timestamp: new Date(Date.now() - 16 * 60_000).toISOString() });
  expect([answer.status, answer.body.Code]).toEqual([400, "InvalidTimeStamp.Expired"]);
  emulator.clockOffsetMs = -16 * 60_000;
  const later = await assume({ Timestamp: new Date(Date.now() - 16 * 60_000).toISOString() });
  emulator.clockOffsetMs = 0;
  expect(later.status).toBe(200);
  expect(Date.now() - Date.parse(later.date ?? "")).toBeGreaterThan(15 * 60_000);
});

test("the accepted token rotates", async () => {
  sts.oidcToken = "second";
  expect((await assume()).status).toBe(400);
  expect((await assume({ OIDCToken: "second" })).status).toBe(200);
});

test("failures come as often as asked, and faults apply", async () => {
  sts.failNext("assumeRole", 2, { status: 503, code: "ServiceUnavailable" });
  const before = { ...sts.counters };
  const answers = [await assume(), await assume(), await assume()];
  expect(answers.map(({ status }) => status)).toEqual([503, 503, 200]);
  emulator.addFaults({ kind: "status", status: 429, ossCode: "Throttling", operation: "sts", times: 1 });
  expect(await assume()).toMatchObject({ status: 429, body: { Code: "Throttling" } });
  emulator.addFaults({ kind: "reset", operation: "sts", times: 1 });
  await expect(assume()).rejects.toThrow();
  const { assumeRole, issued, refused } = sts.counters;
  expect([assumeRole, issued, refused]).toEqual([before.assumeRole + 5, before.issued + 1, before.refused + 3]);
});

test("the credentials URI serves Alibaba's own library", async () => {
  // CommonJS, whose default export bundlers and Node disagree about.
  const { default: Credential, Config } = createRequire(import.meta.url)(
    "@alicloud/credentials",
  ) as typeof import("@alicloud/credentials");
  const source = new Credential(new Config({ type: "credentials_uri", credentialsURI: sts.credentialsUri }));
  const { accessKeyId, accessKeySecret, securityToken } = await source.getCredential();
  const given = {
    accessKeyId: accessKeyId ?? "",
    accessKeySecret: accessKeySecret ?? "",
    stsToken: securityToken ?? "",
  };
  expect((await get(given)).content.toString()).toBe("data");
  expect(sts.counters.credentialsUri).toBe(1);
});
