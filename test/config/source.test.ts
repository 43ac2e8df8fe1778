import { describe, expect, it } from "vitest";
import { hostWithoutBucket, regionOfHost } from "../../src/config/source-kinds.ts";
import { configOf, populate, problemsOf } from "./support.ts";

const base = ["populate", "--bucket", "my-bucket", "--target", "/data"];

describe("the endpoint", () => {
  it.each([
    [["--region=cn-hangzhou"], "https://oss-cn-hangzhou.aliyuncs.com:443"],
    [["--region=oss-cn-hangzhou", "--internal"], "https://oss-cn-hangzhou-internal.aliyuncs.com:443"],
    [["--endpoint=oss-cn-beijing.aliyuncs.com"], "https://oss-cn-beijing.aliyuncs.com:443"],
    [["--endpoint=http://oss-cn-beijing.aliyuncs.com"], "http://oss-cn-beijing.aliyuncs.com:80"],
    [["--endpoint=my-bucket.oss-cn-beijing-internal.aliyuncs.com"], "https://oss-cn-beijing-internal.aliyuncs.com:443"],
    [["--endpoint=HTTPS://OSS-cn-beijing.aliyuncs.com:8443/"], "https://oss-cn-beijing.aliyuncs.com:8443"],
    [["--endpoint=my-bucket.store.example:9000", "--region=x"], "https://store.example:9000"],
    [["--endpoint=my-bucket.example", "--region=x", "--addressing=cname"], "https://my-bucket.example:443"],
    [["--endpoint=http://127.0.0.1:9000", "--region=x"], "http://127.0.0.1:9000"],
    [["--endpoint=[2001:db8::1]", "--region=x"], "https://2001:db8::1:443"],
  ])("of %j is %s", async (argv, expected) => {
    const { scheme, host, port } = (await configOf([...base, ...argv])).source.endpoint;
    expect(`${scheme}://${host}:${port}`).toBe(expected);
  });

  it("keeps a first label that only looks like the bucket", () => {
    expect(hostWithoutBucket("oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou")).toBe("oss-cn-hangzhou.aliyuncs.com");
    expect(hostWithoutBucket("cn-hangzhou.oss.aliyuncs.com", "cn-hangzhou")).toBe("cn-hangzhou.oss.aliyuncs.com");
    expect(hostWithoutBucket("127.0.0.1", "127")).toBe("127.0.0.1");
  });

  it("cannot be given beside --internal, which itself beats the one of the spec", async () => {
    expect(await problemsOf([...populate, "--internal", "--endpoint=oss-cn-hangzhou.aliyuncs.com"])).toEqual([
      "--internal and --endpoint contradict each other; give one of them",
    ]);
    const spec = '--spec={"bucket":"abc","endpoint":"oss-cn-beijing.aliyuncs.com"}';
    const { source } = await configOf(["populate", "--target=/d", "--internal", spec]);
    expect(source.endpoint.host).toBe("oss-cn-beijing-internal.aliyuncs.com");
  });

  it("must be a name where the bucket goes before it, and a bound domain for cname", async () => {
    expect(await problemsOf([...populate, "--addressing=virtual", "--endpoint=[::1]:9000"])).toEqual([
      "--addressing virtual needs a host name, but the endpoint is an IP address",
    ]);
    expect(await problemsOf([...populate, "--addressing=cname"])).toEqual([
      "--addressing cname needs --endpoint, the domain that is bound to the bucket",
    ]);
  });
});

describe("the region", () => {
  it.each([
    ["oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou"],
    ["oss-us-west-1-internal.aliyuncs.com", "us-west-1"],
    ["ap-southeast-1.oss.aliyuncs.com", "ap-southeast-1"],
    ["oss-accelerate.aliyuncs.com", undefined],
    ["oss-accelerate-overseas.aliyuncs.com", undefined],
    ["oss-internal.aliyuncs.com", undefined],
    ["oss-cn-hangzhou.example.com", undefined],
    ["127.0.0.1", undefined],
  ])("of %s is %s", (host, region) => {
    expect(regionOfHost(host)).toBe(region);
  });

  it("is read from the endpoint, and may not disagree with it", async () => {
    const endpoint = "--endpoint=oss-cn-beijing.aliyuncs.com";
    expect((await configOf([...base, endpoint])).source.region).toBe("cn-beijing");
    expect(await problemsOf([...base, endpoint, "--region=cn-hangzhou"])).toEqual([
      "--region is cn-hangzhou, but --endpoint names the region cn-beijing",
    ]);
  });

  it("is needed to sign with V4 only, but always without an endpoint", async () => {
    const endpoint = "--endpoint=http://127.0.0.1:9000";
    expect(await problemsOf([...base, endpoint])).toEqual([
      expect.stringMatching(
        /^the region is missing: give --region, OSS_POPULATOR_REGION, spec\.region, .*--signature v1/,
      ),
    ]);
    expect((await configOf([...base, endpoint, "--signature=v1"])).source.region).toBeUndefined();
    expect((await configOf([...base, endpoint, "--anonymous"])).source.region).toBeUndefined();
    expect(await problemsOf([...base, "--anonymous"])).toEqual([expect.stringMatching(/^the region is missing/)]);
  });

  it("is not missed where what would name it is wrong", async () => {
    expect(await problemsOf([...base, "--endpoint=http://h/path"])).toHaveLength(1);
    expect(
      await problemsOf(["populate", "--target=/d", "--endpoint=UP.oss-cn-hangzhou.aliyuncs.com", "--bucket=UP"]),
    ).toEqual([expect.stringMatching(/^--bucket must/)]);
  });
});

it("standard input cannot be two of the spec, the key list and the certificates", async () => {
  const place = ["populate", "--target=/d", "--bucket=some-bucket", "--region=cn-hangzhou"];
  const both = async (...args: readonly string[]) => problemsOf([...place, ...args], { files: { "-": "x" } });
  expect(await both("--spec=-", "--files-from=-")).toEqual(["--spec and --files-from cannot both be standard input"]);
  expect(await both("--ca-file=-", "--files-from=-")).toEqual([
    "--files-from and --ca-file cannot both be standard input",
  ]);
  expect(await both("--ca-file=-", "--spec=-")).toEqual(["--spec and --ca-file cannot both be standard input"]);
});
