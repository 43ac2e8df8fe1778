import { describe, expect, it } from "vitest";
import { configOf, populate, problemsOf } from "./support.ts";

const role = "acs:ram::1:role/from-option";
const provider = "acs:ram::1:oidc-provider/from-option";
const spec = `--spec=${JSON.stringify({
  generic: {
    rrsaConfigs: { roleArn: "acs:ram::1:role/from-spec", oidcProviderArn: "acs:ram::1:oidc-provider/from-spec" },
  },
})}`;
const env = {
  ALIBABA_CLOUD_ROLE_ARN: "acs:ram::1:role/from-env",
  ALIBABA_CLOUD_OIDC_PROVIDER_ARN: "acs:ram::1:oidc-provider/from-env",
  ALIBABA_CLOUD_OIDC_TOKEN_FILE: "/token-from-env",
  ALIBABA_CLOUD_STS_ENDPOINT: "sts-vpc.cn-hangzhou.aliyuncs.com",
};

describe("the role", () => {
  it("is none of ours when only the environment names one", async () => {
    const { credentials } = await configOf(populate, { env });
    expect(credentials).toEqual({ anonymous: false, role: undefined, stsEndpoint: env.ALIBABA_CLOUD_STS_ENDPOINT });
  });

  it("of the options is completed from the environment", async () => {
    expect((await configOf([...populate, "--role-arn", role], { env })).credentials.role).toEqual({
      roleArn: role,
      oidcProviderArn: env.ALIBABA_CLOUD_OIDC_PROVIDER_ARN,
      oidcTokenFile: env.ALIBABA_CLOUD_OIDC_TOKEN_FILE,
      stsEndpoint: env.ALIBABA_CLOUD_STS_ENDPOINT,
      from: "options",
    });
  });

  it("of the options is completed from the spec first", async () => {
    const argv = [...populate, spec, "--oidc-token-file=/t", "--sts-endpoint=sts.example"];
    expect((await configOf(argv, { env })).credentials.role).toEqual({
      roleArn: "acs:ram::1:role/from-spec",
      oidcProviderArn: "acs:ram::1:oidc-provider/from-spec",
      oidcTokenFile: "/t",
      stsEndpoint: "sts.example",
      from: "options",
    });
  });

  it("of the spec ranks as such, and its token is where ACK mounts it", async () => {
    expect((await configOf([...populate, spec])).credentials.role).toEqual({
      roleArn: "acs:ram::1:role/from-spec",
      oidcProviderArn: "acs:ram::1:oidc-provider/from-spec",
      oidcTokenFile: "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token",
      stsEndpoint: undefined,
      from: "spec",
    });
  });

  it("that stays incomplete is a problem that names every way to complete it", async () => {
    expect(await problemsOf([...populate, "--role-arn", role])).toEqual([
      "the role is incomplete: give --oidc-provider-arn, spec.generic.rrsaConfigs.oidcProviderArn or ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    ]);
    expect(await problemsOf([...populate, "--oidc-provider-arn", provider])).toEqual([
      "the role is incomplete: give --role-arn, spec.generic.rrsaConfigs.roleArn or ALIBABA_CLOUD_ROLE_ARN",
    ]);
  });

  it("is judged wherever it comes from", async () => {
    const wrong = `--spec={"generic":{"rrsaConfigs":{"roleArn":"admin"}}}`;
    expect(await problemsOf([...populate, wrong], { env: { ALIBABA_CLOUD_OIDC_PROVIDER_ARN: "x" } })).toEqual([
      expect.stringMatching(/^spec\.generic\.rrsaConfigs\.roleArn \(line 1, column 28\) must be the ARN of a RAM role/),
      expect.stringMatching(/^ALIBABA_CLOUD_OIDC_PROVIDER_ARN must be/),
    ]);
  });
});

describe("anonymous access", () => {
  it("takes no role from the spec", async () => {
    expect((await configOf([...populate, spec, "--anonymous"])).credentials).toMatchObject({
      anonymous: true,
      role: undefined,
    });
  });

  it("contradicts every role option", async () => {
    const argv = [...populate, "--anonymous", "--role-arn", role, "--oidc-provider-arn", provider];
    expect(await problemsOf(argv)).toEqual([
      "--anonymous and --role-arn contradict each other; give one of them",
      "--anonymous and --oidc-provider-arn contradict each other; give one of them",
    ]);
  });
});
