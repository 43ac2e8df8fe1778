import { flags, type Sample, without } from "./sample.ts";
import { copy, populate } from "./support.ts";

const spec = (bucket: string) => `{"bucket": "${bucket}", "region": "cn-hangzhou"}`;
const role = (name: string) => `acs:ram::123456789012:role/${name}`;
const provider = (name: string) => `acs:ram::123456789012:oidc-provider/${name}`;

/** Options of source and credentials. */
export const sourceSamples = {
  spec: {
    argv: ["populate", "--target", "/data"],
    pick: (config) => config.source.bucket,
    right: [
      [spec("one"), "one"],
      [spec("two"), "two"],
    ],
    wrong: ["{", "missing.yaml"],
  },
  bucket: {
    argv: without("--bucket"),
    pick: (config) => config.source.bucket,
    right: [
      ["abc", "abc"],
      [`${"a".repeat(62)}1`, `${"a".repeat(62)}1`],
    ],
    wrong: ["ab", "a".repeat(64), "Abc", "a_c", "-abc", "abc-", "a.b.c", "äbc"],
  },
  path: {
    argv: populate,
    pick: (config) => config.source.path,
    right: [
      ["/data/model", "data/model"],
      ["data/Ünï code/", "data/Ünï code/"],
    ],
    wrong: ["x".repeat(1024), "ü".repeat(512), "a\0b", "\ud800"],
  },
  region: {
    argv: without("--region"),
    pick: (config) => config.source.region,
    right: [
      ["cn-hangzhou", "cn-hangzhou"],
      ["oss-ap-southeast-1", "ap-southeast-1"],
    ],
    wrong: ["CN-Hangzhou", "cn hangzhou", "cn-hangzhou-internal", "cn--x", "-cn"],
  },
  endpoint: {
    argv: populate,
    pick: (config) => config.source.endpoint,
    right: [
      ["oss-cn-hangzhou.aliyuncs.com", { scheme: "https", host: "oss-cn-hangzhou.aliyuncs.com", port: 443 }],
      ["http://[::1]:9000/", { scheme: "http", host: "::1", port: 9000 }],
    ],
    wrong: ["ftp://h", "http://h/path", "h?x=1", "h#x", "u:p@h", "a b", "h:99999", "h:0", "::1", "http://", "a..b"],
  },
  internal: flags((config) => config.source.endpoint.host.includes("-internal")),
  addressing: {
    argv: populate,
    pick: (config) => config.source.addressing,
    right: [
      ["path", "path"],
      ["virtual", "virtual"],
    ],
    wrong: ["Path", "dns"],
  },
  signature: {
    argv: populate,
    pick: (config) => config.source.signature,
    right: [
      ["v4", "v4"],
      ["v1", "v1"],
    ],
    wrong: ["4", "V4"],
  },
  include: {
    argv: populate,
    pick: (config) => config.source.include,
    right: [
      ["*.bin\n*.txt", ["*.bin", "*.txt"]],
      ["**/x", ["**/x"]],
    ],
    wrong: ["\n", "a\0"],
  },
  exclude: {
    argv: populate,
    pick: (config) => config.source.exclude,
    right: [
      ["*.bin", ["*.bin"]],
      ["a,b", ["a,b"]],
    ],
    wrong: ["\n"],
  },
  "files-from": {
    argv: populate,
    pick: (config) => config.source.filesFrom,
    right: [
      ["/keys", "/keys"],
      ["-", "-"],
    ],
    wrong: ["a\0"],
  },
  "shard-index": {
    argv: [...copy, "--shard-count", "8"],
    pick: (config) => config.source.shard,
    right: [
      ["0", { index: 0, count: 8 }],
      ["7", { index: 7, count: 8 }],
    ],
    wrong: ["8", "-1", "1.5", "first", "1000000"],
  },
  "shard-count": {
    argv: [...copy, "--shard-index", "0"],
    pick: (config) => config.source.shard,
    right: [
      ["1", { index: 0, count: 1 }],
      ["1000000", { index: 0, count: 1_000_000 }],
    ],
    wrong: ["0", "-1", "2.5", "all", "1000001"],
  },
  "ca-file": {
    argv: populate,
    pick: (config) => config.source.caFile,
    right: [
      ["/ca.pem", "/ca.pem"],
      ["other.pem", "other.pem"],
    ],
    wrong: ["a\0"],
  },
  transport: {
    argv: populate,
    pick: (config) => config.source.transport,
    right: [
      ["socket", "socket"],
      ["undici", "undici"],
    ],
    wrong: ["curl", ""],
  },
  "allow-empty": flags((config) => config.source.allowEmpty),
  "role-arn": {
    argv: [...populate, "--oidc-provider-arn", provider("p")],
    pick: (config) => config.credentials.role?.roleArn,
    right: [
      [role("a"), role("a")],
      [role("b"), role("b")],
    ],
    wrong: ["reader", provider("p"), "acs:ram::x:role/a", role("")],
  },
  "oidc-provider-arn": {
    argv: [...populate, "--role-arn", role("r")],
    pick: (config) => config.credentials.role?.oidcProviderArn,
    right: [
      [provider("a"), provider("a")],
      [provider("b"), provider("b")],
    ],
    wrong: [role("r")],
  },
  "oidc-token-file": {
    argv: [...populate, "--role-arn", role("r"), "--oidc-provider-arn", provider("p")],
    pick: (config) => config.credentials.role?.oidcTokenFile,
    right: [
      ["/token", "/token"],
      ["/other", "/other"],
    ],
    wrong: ["a\0"],
  },
  "sts-endpoint": {
    argv: populate,
    pick: (config) => config.credentials.stsEndpoint,
    right: [
      ["https://sts.aliyuncs.com", "sts.aliyuncs.com"],
      ["127.0.0.1:8443", "127.0.0.1:8443"],
    ],
    wrong: ["http://sts.aliyuncs.com", "sts.aliyuncs.com/path"],
  },
  anonymous: flags((config) => config.credentials.anonymous),
} satisfies Record<string, Sample>;
