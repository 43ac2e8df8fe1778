import { mkdir, writeFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { type CredentialsChoice, credentialSource, type Environment } from "../../src/oss/credentials.ts";
import { type FakeServer, keys, session, startSts, startUri } from "./credentials-servers.ts";
import { environmentKeys, failure, homeForEach, issue, never, roleFrom, unnamed } from "./credentials-setup.ts";

/** The metadata service of instances has a fixed address that tests must not call. */
const noInstance = { ALIBABA_CLOUD_ECS_METADATA_DISABLED: "true" };
const directory = homeForEach();
const role = roleFrom(directory);

describe("the order of sources", () => {
  test("is anonymous, role of the options, keys of the environment, role of the spec, role of the environment, the rest", async () => {
    await using server = await startSts((_, form) => session(form.get("RoleArn") ?? ""));
    await using uri = await startUri(() => ({ status: 200, body: keys("uri") }));
    const env = {
      ...environmentKeys,
      ...noInstance,
      ALIBABA_CLOUD_ROLE_ARN: "env-role",
      ALIBABA_CLOUD_OIDC_PROVIDER_ARN: "env-provider",
      ALIBABA_CLOUD_OIDC_TOKEN_FILE: directory.path("token"),
      ALIBABA_CLOUD_STS_ENDPOINT: `127.0.0.1:${server.port}`,
      ALIBABA_CLOUD_CREDENTIALS_URI: `http://127.0.0.1:${uri.port}/`,
    };
    const { ALIBABA_CLOUD_ACCESS_KEY_SECRET: _, ...halfKeys } = env;
    const { ALIBABA_CLOUD_ROLE_ARN: __, ...noRole } = halfKeys;
    const id = async (choice: CredentialsChoice, environment: Environment) =>
      (await issue(choice, environment)).credentials?.accessKeyId;
    expect(await id({ anonymous: true, role: role(server) }, env)).toBe(undefined);
    expect(await id({ anonymous: false, role: role(server, "options") }, env)).toBe("id-acs:ram::1:role/r");
    expect(await id({ anonymous: false, role: role(server, "spec") }, env)).toBe("env-id");
    expect(await id({ anonymous: false, role: role(server, "spec") }, halfKeys)).toBe("id-acs:ram::1:role/r");
    expect(await id(unnamed, halfKeys)).toBe("id-env-role");
    expect(await id(unnamed, noRole)).toBe("id-uri");
  });

  test("goes from the CLI profile to the credentials URI", async () => {
    await mkdir(directory.path("home/.aliyun"));
    const profile = { name: "default", mode: "AK", access_key_id: "cli-id", access_key_secret: "cli-secret" };
    await writeFile(
      directory.path("home/.aliyun/config.json"),
      JSON.stringify({ current: "default", profiles: [profile] }),
    );
    await using uri = await startUri(() => ({ status: 200, body: keys("uri") }));
    const env = { ...noInstance, ALIBABA_CLOUD_CREDENTIALS_URI: `http://127.0.0.1:${uri.port}/` };
    expect((await issue(unnamed, env)).credentials?.accessKeyId).toBe("cli-id");
    const disabled = { ...env, ALIBABA_CLOUD_CLI_PROFILE_DISABLED: "true" };
    expect((await issue(unnamed, disabled)).credentials?.accessKeyId).toBe("id-uri");
  });

  test("keeps an STS token of the environment with its keys", async () => {
    const { credentials } = await issue(unnamed, { ...environmentKeys, ALIBABA_CLOUD_SECURITY_TOKEN: "t" });
    expect(credentials).toEqual({ accessKeyId: "env-id", accessKeySecret: "env-secret", securityToken: "t" });
  });
});

describe("the rest of the chain", () => {
  test("with nothing in it is an error that names the ways to give credentials, and calls nobody", async () => {
    const error = await failure(issue(unnamed, { ...noInstance, ALIBABA_CLOUD_ACCESS_KEY_ID: "id" }));
    expect(error.kind).toBe("credentials");
    for (const way of [
      "--role-arn",
      "ALIBABA_CLOUD_ACCESS_KEY_ID is set without",
      "--anonymous",
      "ALIBABA_CLOUD_CREDENTIALS_URI",
    ]) {
      expect(error.message).toContain(way);
    }
    expect(error.message).not.toContain("undefined");
  });

  test("tells why a source that was configured failed, without what it said", async () => {
    const leaky = { ...keys("leaked"), SecurityToken: "" };
    await using uri = await startUri((call) => ({ status: call === 1 ? 404 : 200, body: leaky }));
    const env = { ...noInstance, ALIBABA_CLOUD_CREDENTIALS_URI: `http://127.0.0.1:${uri.port}/` };
    const first = await failure(issue(unnamed, env));
    expect(first.message).toContain("credentials URI (status 404)");
    const second = await failure(issue(unnamed, env));
    expect(second.message).toContain("credentials URI (no usable answer)");
    for (const error of [first, second]) {
      expect(error.cause).toBe(undefined);
      expect(error.message).not.toContain("leaked");
    }
  });

  test("recovers after a total failure, and asks the source anew each time", async () => {
    await using uri = await startUri((call) => (call === 1 ? "destroy" : { status: 200, body: keys(String(call)) }));
    const env = { ...noInstance, ALIBABA_CLOUD_CREDENTIALS_URI: `http://127.0.0.1:${uri.port}/` };
    const source = credentialSource(unnamed, env);
    await failure(source.issue(never));
    expect((await source.issue(never)).credentials?.accessKeyId).toBe("id-2");
    expect((await source.issue(never)).credentials?.accessKeyId).toBe("id-3");
  });

  test("stays with the identity that it had when its source fails, even if there is another by now", async () => {
    await using uri: FakeServer = await startUri(() => ({ status: 200, body: keys("uri", 1) }));
    const env = { ...noInstance, ALIBABA_CLOUD_CREDENTIALS_URI: `http://127.0.0.1:${uri.port}/` };
    const source = credentialSource(unnamed, env);
    await source.issue(never);
    await mkdir(directory.path("home/.aliyun"));
    const profile = { name: "default", mode: "AK", access_key_id: "cli-id", access_key_secret: "cli-secret" };
    await writeFile(
      directory.path("home/.aliyun/config.json"),
      JSON.stringify({ current: "default", profiles: [profile] }),
    );
    uri.respond = () => ({ status: 500, body: {} });
    const error = await failure(source.issue(never));
    expect(error.kind).toBe("identity");
    expect(error.message).toBe("no new credentials from credentials URI (status 500)");
  });
});
