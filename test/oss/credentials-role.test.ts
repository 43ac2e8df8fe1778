import { execFileSync } from "node:child_process";
import { chmod, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { describe, expect, test } from "vitest";
import { credentialSource } from "../../src/oss/credentials.ts";
import { listen } from "../contract/transport-server.ts";
import { keys, type Script, session, startSts } from "./credentials-servers.ts";
import { environmentKeys, failure, homeForEach, issue, never, roleFrom, sts, unnamed } from "./credentials-setup.ts";

const directory = homeForEach();
const role = roleFrom(directory);

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

  const xmlError = "<Error><Code>InternalError</Code><Message>a &amp; b</Message><RequestId>R-1</RequestId></Error>";
  const forged = { Credentials: { ...keys("x"), SecurityToken: "t\r\nx-oss-injected: 1" } };
  const passing: readonly (readonly [string, ReturnType<Script>, string])[] = [
    ["is cut off", "destroy", "no answer from STS at 127.0.0.1"],
    ["is a 503 that is no JSON", { status: 503, body: "<busy>" }, "STS refused (status 503, no code)"],
    ["is an error in XML", { status: 500, body: xmlError }, "a & b (status 500, InternalError, request R-1)"],
    ["is throttling", { status: 400, body: { Code: "Throttling.User" } }, "STS refused (status 400, Throttling.User)"],
    ["is a redirect", { status: 302, body: "" }, "STS refused (status 302, no code)"],
    ["is broken JSON", { status: 200, body: '{"Credentials":' }, "no usable session"],
    ["is JSON of another kind", { status: 200, body: [null] }, "no usable session"],
    [
      "lacks the token",
      { status: 200, body: { Credentials: { ...keys("x"), SecurityToken: 5 } } },
      "no usable session",
    ],
    ["would forge a header", { status: 200, body: forged }, "no usable session"],
    ["is huge", { status: 200, body: "x".repeat(10_000_000) }, "no answer from STS"],
  ];
  test.each(passing)("is not assumed, but may be later, when the answer %s", async (_, answer, words) => {
    await using server = await startSts(() => answer);
    const error = await failure(issue({ anonymous: false, role: role(server) }));
    expect(error.kind).toBe("identity");
    expect(error.message).toMatch(/^cannot assume role acs:ram::1:role\/r: /);
    expect(error.message).toContain(words);
    expect(server.forms.length).toBe(1);
  });

  test("that is refused has the service's code and words beside our advice", async () => {
    const Code = "AuthenticationFail.OIDCToken.Expired";
    await using server = await startSts(() => ({
      status: 400,
      body: { Code, Message: "exp\n too old", RequestId: "R" },
    }));
    const error = await failure(issue({ anonymous: false, role: role(server) }));
    expect(error.kind).toBe("credentials");
    expect(error.message).toBe(
      `cannot assume role acs:ram::1:role/r: the service account's token has expired: exp\\u{a} too old (status 400, ${Code}, request R)`,
    );
    expect(server.forms.length).toBe(1);
  });

  test("is assumed with the token that replaces a refused one meanwhile", async () => {
    await using server = await startSts((call, form) => {
      if (form.get("OIDCToken") === "new-token") return session(String(call));
      void writeFile(directory.path("token"), "new-token");
      return { status: 400, body: { Code: "AuthenticationFail.OIDCToken.Invalid" } };
    });
    const { credentials } = await issue({ anonymous: false, role: role(server) });
    expect(credentials?.accessKeyId).toBe("id-2");
  });

  test("is assumed by the service's clock where ours is refused, and that one also tells how long a session is left", async () => {
    const aheadMs = 7 * 3_600_000;
    const date = new Date(Date.now() + aheadMs).toUTCString();
    await using server = await startSts((call, form) => {
      const skewMs = Date.now() + aheadMs - Date.parse(form.get("Timestamp") ?? "");
      const headers = { date };
      if (Math.abs(skewMs) < 60_000) return { ...session(String(call), aheadMs / 1000 + 3600), headers };
      return { status: 400, body: { Code: "InvalidTimeStamp.Expired" }, headers };
    });
    const source = credentialSource({ anonymous: false, role: role(server) }, {}, sts);
    const { credentials, freshForMs } = await source.issue(never);
    expect(credentials?.accessKeyId).toBe("id-2");
    expect(freshForMs).toBeGreaterThan(29 * 60_000);
    expect(freshForMs).toBeLessThanOrEqual(30 * 60_000 + 1000);
    await source.issue(never);
    expect(server.forms.length).toBe(3);
  });

  test("of an unlikely lifetime is not asked for all the time when only our clock says so", async () => {
    await using server = await startSts((call) => ({ ...session(String(call), 2), sendDate: call > 1 }));
    const source = credentialSource({ anonymous: false, role: role(server) }, {}, sts);
    expect((await source.issue(never)).freshForMs).toBe(450_000);
    expect((await source.issue(never)).freshForMs).toBeLessThanOrEqual(1500);
  });

  test("is asked for where the environment says, through the proxy that is given", async () => {
    const asked: (string | undefined)[] = [];
    const proxy = createServer().on("connect", ({ url }, socket) => {
      asked.push(url);
      socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    });
    const httpsProxy = `http://127.0.0.1:${await listen(proxy)}`;
    const region = { ALIBABA_CLOUD_STS_REGION: "cn-test" };
    const vpc = { ...region, ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED: "True" };
    const given = { ...vpc, ALIBABA_CLOUD_STS_ENDPOINT: "sts.of.our.own:8443" };
    const { stsEndpoint: _, ...named } = role({ port: 1 });
    const advised: boolean[] = [];
    for (const env of [{}, region, vpc, given]) {
      const source = credentialSource({ anonymous: false, role: named }, env, { ...sts, httpsProxy });
      const error = await failure(source.issue(never));
      expect(error.kind).toBe("identity");
      advised.push(error.message.includes("--sts-endpoint sts-vpc.REGION.aliyuncs.com"));
    }
    proxy.close();
    expect(asked).toEqual([
      "sts.aliyuncs.com:443",
      "sts.cn-test.aliyuncs.com:443",
      "sts-vpc.cn-test.aliyuncs.com:443",
      "sts.of.our.own:8443",
    ]);
    expect(advised).toEqual([true, true, false, false]);
  });

  test("tells its token as a secret before it is sent", async () => {
    const secrets: string[] = [];
    await using server = await startSts((call) => {
      expect(secrets).toEqual(["the-token"]);
      return session(String(call));
    });
    const options = { ...sts, onSecret: (secret: string) => secrets.push(secret) };
    await credentialSource({ anonymous: false, role: role(server) }, {}, options).issue(never);
  });

  test("is not asked of a service that cannot prove who it is", async () => {
    await using server = await startSts(() => session("1"));
    const source = credentialSource({ anonymous: false, role: role(server) }, {});
    const error = await failure(source.issue(never));
    expect(error.kind).toBe("identity");
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
    const fifo = directory.path("fifo");
    execFileSync("mkfifo", [fifo]);
    const unusable = {
      [directory.path("home")]: "EISDIR",
      [fifo]: "cannot be read",
      "/dev/zero": "more than 65536 bytes",
    };
    for (const [file, words] of Object.entries(unusable)) {
      const error = await failure(issue({ anonymous: false, role: role(server, "options", file) }));
      expect(error).toMatchObject({ kind: "credentials", message: expect.stringContaining(words) });
    }
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
