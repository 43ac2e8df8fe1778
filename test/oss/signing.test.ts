import { hash } from "node:crypto";
import { createRequire } from "node:module";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodePath, encodeQuery, type Query } from "../../src/oss/encoding.ts";
import { canonicalRequest, createV1Sign, createV4Sign, type Signable } from "../../src/oss/signing.ts";

interface ReferenceRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly queries?: Readonly<Record<string, string | null>>;
  readonly parameters?: Query;
}

/** The signer of ali-oss, which has no types of its own. */
interface Reference {
  authorizationV4(
    id: string,
    secret: string,
    region: string,
    method: string,
    request: ReferenceRequest,
    bucket: string,
    key: string,
  ): string;
  buildCanonicalString(method: string, resource: string, request: ReferenceRequest, date: string): string;
  authorization(id: string, secret: string, text: string): string;
}

const reference: Reference = createRequire(import.meta.url)("ali-oss/lib/common/signUtils.js");
const credentials = { accessKeyId: "ak", accessKeySecret: "sk" };

function signable(parts: Partial<Signable>): Signable {
  const { key = "", query = {} } = parts;
  const encoded = { encodedKey: encodePath(key), encodedQuery: encodeQuery(query) };
  return { method: "GET", key, query, headers: {}, ...encoded, ...parts };
}

function authorization(headers: Readonly<Record<string, string>>): string {
  return headers.authorization ?? "";
}

describe("signature V4", () => {
  const published = signable({
    method: "PUT",
    key: "1234+-/123/1.txt",
    headers: { "x-oss-head1": "value", abc: "value", zabc: "value", xyz: "value", "content-type": "text/plain" },
    query: { param1: "value1", "+param1": "value3", "|param1": "value4", "+param2": "", "|param2": "", param2: "" },
  });
  const vectors = [
    {
      name: "plain",
      second: 1702743657,
      canonical: "f4613657f1b108998e8dbd10a1aa5da621dc2c6e02c9ddec0f163664848704c4",
      signature: "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe",
    },
    {
      name: "with a security token",
      second: 1702784856,
      token: "token",
      canonical: "69494678fb11579d4ee12996e2796d9e2ba43c34aa4c723c4aec018f3d6b86b8",
      signature: "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea",
    },
    {
      name: "with additional headers",
      second: 1702747512,
      additional: ["ZAbc", "abc"],
      canonical: "16b86004ed2cc3406dd7a13081bd940ef6a5ad49e508da2d4fdf84e8a5dd2145",
      signature: "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f",
    },
  ];

  it.each(vectors)("gives the published signature, $name", ({ second, token, additional, canonical, signature }) => {
    const request = additional === undefined ? published : { ...published, additionalHeaders: additional };
    const sign = createV4Sign("bucket", "cn-hangzhou");
    const headers = sign(request, { ...credentials, securityToken: token }, second * 1000 + 999);
    const names = additional === undefined ? [] : ["abc", "zabc"];
    expect(hash("sha256", canonicalRequest(request, "bucket", headers, names))).toBe(canonical);
    const day = headers["x-oss-date"]?.slice(0, 8);
    const list = additional === undefined ? "" : "AdditionalHeaders=abc;zabc,";
    expect(authorization(headers)).toBe(
      `OSS4-HMAC-SHA256 Credential=ak/${day}/cn-hangzhou/oss/aliyun_v4_request,${list}Signature=${signature}`,
    );
    expect(headers["x-oss-security-token"]).toBe(token);
    expect(headers["x-oss-content-sha256"]).toBe("UNSIGNED-PAYLOAD");
  });

  it("writes the moment as ISO basic in UTC", () => {
    const headers = createV4Sign("bucket", "cn-hangzhou")(published, credentials, 1702743657_000);
    expect(headers["x-oss-date"]).toBe("20231216T162057Z");
  });

  it("leaves out additional headers that the request does not have or that are signed anyway", () => {
    const request = { ...published, additionalHeaders: ["range", "x-oss-head1", "content-type"] };
    const headers = createV4Sign("bucket", "cn-hangzhou")(request, credentials, 1702743657_000);
    expect(authorization(headers)).toContain(
      "Signature=e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe",
    );
  });

  it("takes an empty security token for none", () => {
    const headers = createV4Sign("b", "r")(published, { ...credentials, securityToken: "" }, 0);
    expect(headers).not.toHaveProperty("x-oss-security-token");
  });

  it("agrees with ali-oss on any request, across days and secrets, with one signer", () => {
    const sign = createV4Sign("some-bucket", "cn-beijing");
    fc.assert(
      fc.property(
        fc.record({
          method: fc.constantFrom("GET", "HEAD"),
          key: fc.string({ unit: "binary", maxLength: 60 }),
          // ali-oss sorts names by locale, which is the order of bytes for small letters only.
          query: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.string({ unit: "binary", maxLength: 20 })),
          headers: fc.dictionary(
            fc.stringMatching(/^(x-oss-[a-z-]{1,9}|content-(type|md5)|range|if-match)$/),
            fc.stringMatching(/^[ -~]{0,24}$/),
          ),
          secret: fc.constantFrom("one", "two", "drei-ß"),
          timeMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
        }),
        ({ secret, timeMs, ...parts }) => {
          const request = signable(parts);
          const signed = sign(request, { accessKeyId: "id", accessKeySecret: secret }, timeMs);
          const { authorization: ours = "", ...headers } = signed;
          // A parameter without a value is null there.
          const queries = Object.fromEntries(Object.entries(parts.query).map(([k, v]) => [k, v === "" ? null : v]));
          const theirs = reference.authorizationV4(
            "id",
            secret,
            "cn-beijing",
            parts.method,
            { headers, queries },
            "some-bucket",
            parts.key,
          );
          expect(ours).toBe(theirs);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("signature V1", () => {
  const date = "Wed, 28 Dec 2022 10:27:41 GMT";
  const published = signable({
    method: "PUT",
    key: "nelson",
    headers: {
      "content-md5": "eB5eJF1ptWaXm4bijSPyxw==",
      "content-type": "text/html",
      "x-oss-meta-author": "alice",
      "x-oss-meta-magic": "abracadabra",
      "x-oss-date": date,
    },
  });

  it("gives the published signatures", () => {
    const sign = createV1Sign("examplebucket");
    const plain = sign(published, credentials, Date.parse(date));
    expect(plain.date).toBe(date);
    expect(plain.authorization).toBe("OSS ak:kSHKmLxlyEAKtZPkJhG9bZb5k7M=");
    const acl = sign({ ...published, query: { acl: "" } }, credentials, Date.parse(date));
    expect(acl.authorization).toBe("OSS ak:/afkugFbmWDQ967j1vr6zygBLQk=");
  });

  it("agrees with ali-oss, signing only the parameters that V1 signs", () => {
    const sign = createV1Sign("some-bucket");
    const signedNames = ["continuation-token", "x-oss-process", "response-content-type", "versionId", "symlink"];
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 60 }),
        fc.dictionary(fc.constantFrom(...signedNames), fc.string({ unit: "binary", maxLength: 20 })),
        fc.dictionary(fc.constantFrom("list-type", "prefix", "max-keys", "start-after"), fc.string()),
        fc.option(fc.stringMatching(/^[!-~]{1,30}$/), { nil: undefined }),
        fc.integer({ min: 0, max: 4_000_000_000 }),
        (key, signed, unsigned, securityToken, second) => {
          const request = signable({
            key,
            query: { ...unsigned, ...signed },
            headers: { "x-oss-b": " 2 ", "x-oss-a": "1" },
          });
          const { authorization: ours, ...headers } = sign(request, { ...credentials, securityToken }, second * 1000);
          const text = reference.buildCanonicalString(
            "GET",
            `/some-bucket/${key}`,
            { headers, parameters: signed },
            new Date(second * 1000).toUTCString(),
          );
          expect(ours).toBe(reference.authorization("ak", "sk", text));
        },
      ),
    );
  });
});
