import { chmod, mkdir, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CopyError } from "../../src/errors.ts";
import { type CredentialsChoice, credentialSource, type Environment } from "../../src/oss/credentials.ts";
import { testCertificate } from "../contract/transport-certificate.ts";
import { type FakeServer, keys, session, startSts, startUri, temporaryDirectory } from "./credentials-servers.ts";

const never = new AbortController().signal;
const sts = { ca: testCertificate, retryBaseMs: 1 };
const unnamed: CredentialsChoice = { anonymous: false };
const environmentKeys = { ALIBABA_CLOUD_ACCESS_KEY_ID: "env-id", ALIBABA_CLOUD_ACCESS_KEY_SECRET: "env-secret" };
/** The metadata service of instances has a fixed address that tests must not call. */
const noInstance = { ALIBABA_CLOUD_ECS_METADATA_DISABLED: "true" };

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;

beforeEach(async () => {
  directory = await temporaryDirectory();
  vi.stubEnv("HOME", directory.path("home"));
  await mkdir(directory.path("home"));
  await writeFile(directory.path("token"), "the-token\n");
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await directory[Symbol.asyncDispose]();
});

function role(server: { port: number }, from: "options" | "spec" = "options", file = directory.path("token")) {
  return {
    roleArn: "acs:ram::1:role/r",
    oidcProviderArn: "acs:ram::1:oidc-provider/p",
    oidcTokenFile: file,
    stsEndpoint: `127.0.0.1:${server.port}`,
    from,
  } as const;
}

async function issue(choice: CredentialsChoice, env: Environment = {}) {
  return await credentialSource(choice, env, sts).issue(never);
}

async function failure(running: Promise<unknown>): Promise<CopyError> {
  const error = await running.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof CopyError) return error;
  throw new Error(`expected a CopyError, got ${String(error)}`, { cause: error });
}

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

describe("a role", () => {
  test("is assumed with the trimmed token, read anew each time", async () => {
    await using server = await startSts((call) => session(String(call)));
    const source = credentialSource({ anonymous: false, role: role(server) }, {}, sts);
    const first = await source.issue(never);
    await writeFile(directory.path("token"), "  rotated  \n");
    await source.issue(never);
    expect(server.forms.map((form) => form.get("OIDCToken"))).toEqual(["the-token", "rotated"]);
    const form = Object.fromEntries(server.forms[0] ?? []);
    expect(form).toMatchObject({
      Action: "AssumeRoleWithOIDC",
      Version: "2015-04-01",
      Format: "JSON",
      RoleArn: "acs:ram::1:role/r",
      OIDCProviderArn: "acs:ram::1:oidc-provider/p",
      RoleSessionName: "oss-populator",
      DurationSeconds: "3600",
    });
    expect(first.credentials).toEqual({ accessKeyId: "id-1", accessKeySecret: "secret-1", securityToken: "token-1" });
    expect(first.freshForMs).toBeGreaterThan(29 * 60_000);
    expect(first.freshForMs).toBeLessThanOrEqual(30 * 60_000);
  });

  test("takes its session name from the environment", async () => {
    await using server = await startSts((call) => session(String(call)));
    for (const name of ["ROLE_SESSION_NAME", "ALIBABA_CLOUD_ROLE_SESSION_NAME"]) {
      await issue({ anonymous: false, role: role(server) }, { [name]: `from-${name}` });
    }
    expect(server.forms.map((form) => form.get("RoleSessionName"))).toEqual([
      "from-ROLE_SESSION_NAME",
      "from-ALIBABA_CLOUD_ROLE_SESSION_NAME",
    ]);
  });

  test("that is refused is an error with the service's reason and no secret, and nothing else is tried", async () => {
    const refusal = {
      status: 400,
      body: { Code: "AuthenticationFail.Other", Message: "bad the-token, sorry", RequestId: "REQ-1" },
    };
    await using server = await startSts(() => refusal);
    const env = { ...environmentKeys, ALIBABA_CLOUD_CREDENTIALS_URI: "http://127.0.0.1:9/" };
    const error = await failure(issue({ anonymous: false, role: role(server) }, env));
    expect(error.kind).toBe("credentials");
    expect(error.message).toBe(
      "cannot assume role acs:ram::1:role/r: bad ***, sorry (status 400, AuthenticationFail.Other, request REQ-1)",
    );
    expect(server.forms.length).toBe(1);
  });

  test("whose trust policy excludes us is explained", async () => {
    const body = {
      Code: "AuthenticationFail.NoPermission",
      Message: "This operator is not authorized",
      RequestId: "R",
    };
    await using server = await startSts(() => ({ status: 403, body }));
    const error = await failure(issue({ anonymous: false, role: role(server) }));
    expect(error.message).toContain("trust policy");
  });

  test("survives a service that fails for a moment", async () => {
    await using server = await startSts((call) => {
      if (call === 1) return "destroy";
      if (call === 2) return { status: 503, body: "<busy>" };
      if (call === 3) return { status: 400, body: { Code: "Throttling.User" } };
      return session("4");
    });
    const { credentials } = await issue({ anonymous: false, role: role(server) });
    expect(credentials?.accessKeyId).toBe("id-4");
  });

  test("is given up when the service does not come back, as a failure that passes", async () => {
    await using server = await startSts(() => ({ status: 500, body: {} }));
    const error = await failure(issue({ anonymous: false, role: role(server) }));
    expect(error.kind).toBe("server");
    expect(server.forms.length).toBe(4);
  });

  test("is not asked of a service that cannot prove who it is", async () => {
    await using server = await startSts(() => session("1"));
    const source = credentialSource({ anonymous: false, role: role(server) }, {}, { retryBaseMs: 1 });
    const error = await failure(source.issue(never));
    expect(error.kind).toBe("unreachable");
    expect(error.message).toContain("TLS: self-signed certificate");
    expect(server.forms.length).toBe(0);
  });

  test("is not asked over plain HTTP", async () => {
    const choice = { ...role({ port: 1 }), stsEndpoint: "http://sts.example" };
    const error = await failure(issue({ anonymous: false, role: choice }));
    expect(error.message).toContain("STS endpoint");
  });

  test("without a usable token file is an error that says what to change", async () => {
    await using server = await startSts(() => session("1"));
    const missing = await failure(issue({ anonymous: false, role: role(server, "options", "/nowhere/token") }));
    expect(missing.kind).toBe("credentials");
    expect(missing.message).toContain("/nowhere/token does not exist");
    await writeFile(directory.path("empty"), " \n");
    const empty = await failure(issue({ anonymous: false, role: role(server, "options", directory.path("empty")) }));
    expect(empty.message).toContain("is empty");
    expect(server.forms.length).toBe(0);
  });

  test("whose token file we may not read is an error that names the pod's fields", async () => {
    await using server = await startSts(() => session("1"));
    await chmod(directory.path("token"), 0o000);
    const asRoot = process.getuid?.() === 0;
    if (asRoot) process.seteuid?.(65_534);
    try {
      const error = await failure(issue({ anonymous: false, role: role(server) }));
      expect(error.kind).toBe("credentials");
      expect(error.message).toMatch(/may not be read by user .*runAsUser or fsGroup.*defaultMode/);
    } finally {
      if (asRoot) process.seteuid?.(0);
    }
  });

  test("that the environment names by halves is an error", () => {
    expect(() => credentialSource(unnamed, { ALIBABA_CLOUD_ROLE_ARN: "r" })).toThrow("ALIBABA_CLOUD_OIDC_PROVIDER_ARN");
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
    expect(error.kind).toBe("unreachable");
    expect(error.message).toBe("no new credentials from credentials URI (status 500)");
  });
});
