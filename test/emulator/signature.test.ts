import { hash } from "node:crypto";
import { expect, test } from "vitest";
import { authenticate, type Credential } from "./auth.ts";
import { canonicalRequestV4, type SignedRequest, signV1, signV4, stringToSignV4 } from "./signature.ts";

/** The published vectors of the official SDKs' signer tests. */
const v4Request: SignedRequest = {
  method: "PUT",
  bucket: "bucket",
  key: "1234+-/123/1.txt",
  query: new Map([
    ["param1", "value1"],
    ["+param1", "value3"],
    ["|param1", "value4"],
    ["+param2", ""],
    ["|param2", ""],
    ["param2", ""],
  ]),
  headers: {
    "x-oss-head1": "value",
    abc: "value",
    zabc: "value",
    xyz: "value",
    "content-type": "text/plain",
    "x-oss-content-sha256": "UNSIGNED-PAYLOAD",
  },
};

const v4Vectors = [
  {
    name: "plain",
    date: "20231216T162057Z",
    additional: [],
    token: undefined,
    digest: "f4613657f1b108998e8dbd10a1aa5da621dc2c6e02c9ddec0f163664848704c4",
    signature: "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe",
  },
  {
    name: "with a security token",
    date: "20231217T034736Z",
    additional: [],
    token: "token",
    digest: "69494678fb11579d4ee12996e2796d9e2ba43c34aa4c723c4aec018f3d6b86b8",
    signature: "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea",
  },
  {
    name: "with additional headers",
    date: "20231216T172512Z",
    additional: ["abc", "zabc"],
    token: undefined,
    digest: "16b86004ed2cc3406dd7a13081bd940ef6a5ad49e508da2d4fdf84e8a5dd2145",
    signature: "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f",
  },
] as const;

test.each(v4Vectors)("a V4 signature $name is the published one, and is accepted", (vector) => {
  const { date, additional, token } = vector;
  const headers = { ...v4Request.headers, "x-oss-date": date, ...(token && { "x-oss-security-token": token }) };
  const request = { ...v4Request, headers };
  const canonical = canonicalRequestV4(request, additional);
  const scope = { date: date.slice(0, 8), region: "cn-hangzhou", product: "oss" };
  expect(hash("sha256", canonical, "hex")).toBe(vector.digest);
  expect(signV4(stringToSignV4(canonical, date, scope), "sk", scope)).toBe(vector.signature);

  const names = additional.length === 0 ? "" : `,AdditionalHeaders=${additional.join(";")}`;
  const credentialText = `Credential=ak/${scope.date}/cn-hangzhou/oss/aliyun_v4_request`;
  const authorization = `OSS4-HMAC-SHA256 ${credentialText}${names},Signature=${vector.signature}`;
  const credential: Credential = { accessKeyId: "ak", accessKeySecret: "sk", ...(token && { securityToken: token }) };
  const nowMs = Date.parse(date.replace(/(....)(..)(..)T(..)(..)(..)Z/, "$1-$2-$3T$4:$5:$6Z"));
  const context = { credentials: new Map([["ak", credential]]), region: "cn-hangzhou", nowMs };
  const signed = (text: string) => ({ ...request, headers: { ...headers, authorization: text } });
  expect(authenticate(signed(authorization), context)).toBe(credential);
  expect(() => authenticate(signed(authorization.replace(/.$/, "!")), context)).toThrow("SignatureDoesNotMatch");
  expect(() => authenticate(signed(authorization), { ...context, region: "cn-beijing" })).toThrow("signing region");
});

const v1Headers = {
  "content-md5": "eB5eJF1ptWaXm4bijSPyxw==",
  "content-type": "text/html",
  "x-oss-meta-author": "alice",
  "x-oss-meta-magic": "abracadabra",
  "x-oss-date": "Wed, 28 Dec 2022 10:27:41 GMT",
};

test.each([
  ["of an object", [], "kSHKmLxlyEAKtZPkJhG9bZb5k7M="],
  ["with a sub-resource", [["acl", ""]], "/afkugFbmWDQ967j1vr6zygBLQk="],
  [
    "whatever else the query says",
    [
      ["prefix", "x"],
      ["acl", ""],
      ["max-keys", "3"],
    ],
    "/afkugFbmWDQ967j1vr6zygBLQk=",
  ],
] as const)("a V1 signature %s is the published one", (_, query, signature) => {
  const request = { method: "PUT", bucket: "examplebucket", key: "nelson", query: new Map(query), headers: v1Headers };
  expect(signV1(request, "sk", v1Headers["x-oss-date"])).toBe(signature);
});

test("a V1 signature of a query with a version is the published one", () => {
  const query = new Map([["versionId", "versionId"]]);
  const request = { method: "GET", bucket: "bucket", key: "key", query, headers: {} };
  expect(signV1(request, "sk", "1699807420")).toBe("dcLTea+Yh9ApirQ8o8dOPqtvJXQ=");
});
