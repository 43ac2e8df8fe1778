/** One signed ranged GET, ours against ali-oss' signer: `node bench/micro/signing.bench.ts`. */

import { createRequire } from "node:module";
import { bucketAddress } from "../../src/oss/endpoint.ts";
import { RequestBuilder } from "../../src/oss/request.ts";

interface Reference {
  authorizationV4(...parts: unknown[]): string;
}

const reference: Reference = createRequire(import.meta.url)("ali-oss/lib/common/signUtils.js");
const rounds = 9;
const requestsPerRound = 20_000;
const key = (i: number): string => `datasets/images/train/class-${i % 37}/picture-${i}.jpeg`;
const wanted = {
  "if-match": '"5B3C1A2E053D763E1B002CC607C5A0FE"',
  range: "bytes=0-65535",
  "x-oss-range-behavior": "standard",
};
const state = {
  credentials: { accessKeyId: "id", accessKeySecret: "secret", securityToken: "token".repeat(100) },
  clockOffsetMs: 0,
};

function builder(version: "v4" | "v1", anonymous = false): RequestBuilder {
  const endpoint = { scheme: "https", host: "oss-cn-hangzhou.aliyuncs.com", port: 443 } as const;
  return new RequestBuilder({
    address: bucketAddress({ endpoint, addressing: "auto", bucket: "bucket" }),
    bucket: "bucket",
    signature: version === "v4" ? { version, region: "cn-hangzhou" } : { version },
    state: anonymous ? { credentials: undefined, clockOffsetMs: 0 } : state,
    nowMs: Date.now,
  });
}

function medianMicroseconds(work: (i: number) => unknown): string {
  const times = Array.from({ length: rounds }, () => {
    const start = process.hrtime.bigint();
    for (let i = 0; i < requestsPerRound; i++) work(i);
    return Number(process.hrtime.bigint() - start) / 1e3 / requestsPerRound;
  }).sort((a, b) => a - b);
  return `${times[rounds >> 1]?.toFixed(2)} µs (best ${times[0]?.toFixed(2)})`;
}

const v4 = builder("v4");
const v1 = builder("v1");
const anonymous = builder("v4", true);
const { accessKeyId, accessKeySecret, securityToken } = state.credentials;
const build = (requests: RequestBuilder) => (i: number) =>
  requests.build({ method: "GET", key: key(i), headers: wanted });
const aliOss = (i: number): string => {
  const date = "20240101T000000Z";
  const headers = {
    ...wanted,
    "x-oss-date": date,
    "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
    "x-oss-security-token": securityToken,
  };
  return reference.authorizationV4(accessKeyId, accessKeySecret, "cn-hangzhou", "GET", { headers }, "bucket", key(i));
};

console.log(`one request of ${requestsPerRound}, median of ${rounds} rounds`);
console.log(`RequestBuilder V4         ${medianMicroseconds(build(v4))}`);
console.log(`RequestBuilder V1         ${medianMicroseconds(build(v1))}`);
console.log(`RequestBuilder anonymous  ${medianMicroseconds(build(anonymous))}`);
console.log(`ali-oss authorizationV4   ${medianMicroseconds(aliOss)}`);
