import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketAddress } from "../../src/oss/endpoint.ts";
import { RequestBuilder, type RequestBuilderOptions } from "../../src/oss/request.ts";
import type { SigningState } from "../../src/oss/signing.ts";

const endpoint = { scheme: "https", host: "oss-cn-hangzhou.aliyuncs.com", port: 443 } as const;

function builder(options: Partial<RequestBuilderOptions> = {}): RequestBuilder {
  return new RequestBuilder({
    address: bucketAddress({ endpoint, addressing: "auto", bucket: "bkt" }),
    bucket: "bkt",
    signature: { version: "v4", region: "cn-hangzhou" },
    state: { credentials: { accessKeyId: "ak", accessKeySecret: "sk" }, clockOffsetMs: 0 },
    nowMs: () => 1702743657_000,
    ...options,
  });
}

describe("a request", () => {
  it.each([
    ["a/../b", "/a/../b"],
    ["../..", "/../.."],
    ["a//b/", "/a//b/"],
    ["a b+c%2F", "/a%20b%2Bc%252F"],
    ["-._~!'()*", "/-._~%21%27%28%29%2A"],
    ["ä/💾", "/%C3%A4/%F0%9F%92%BE"],
    ["line\nbreak\0?#&", "/line%0Abreak%00%3F%23%26"],
  ])("spells the key %j as %s", (key, path) => {
    expect(builder().build({ method: "GET", key }).path).toBe(path);
  });

  it("loses nothing of any key and needs no further escaping", () => {
    const requests = builder();
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (key) => {
        const { path } = requests.build({ method: "GET", key });
        expect(path).toMatch(/^\/(?:[A-Za-z0-9\-._~/]|%[0-9A-F]{2})*$/);
        expect(decodeURIComponent(path)).toBe(`/${key}`);
      }),
    );
  });

  it("refuses a key that is no Unicode text", () => {
    expect(() => builder().build({ method: "GET", key: "a\ud800" })).toThrow(
      expect.objectContaining({ kind: "rejected", message: "a\\u{d800} is not well-formed Unicode" }),
    );
  });

  it("sorts and encodes the query, a parameter without a value bare", () => {
    const query = { "start-after": "a b/ü", prefix: "", "list-type": "2", B: "&=" };
    expect(builder().build({ method: "GET", query }).path).toBe(
      "/?B=%26%3D&list-type=2&prefix&start-after=a%20b%2F%C3%BC",
    );
  });

  it("puts the bucket into the path where the endpoint has no subdomains", () => {
    const local = bucketAddress({
      endpoint: { scheme: "http", host: "127.0.0.1", port: 81 },
      addressing: "auto",
      bucket: "bkt",
    });
    const requests = builder({ address: local });
    expect(requests.build({ method: "GET", query: { "list-type": "2" } }).path).toBe("/bkt/?list-type=2");
    const request = requests.build({ method: "HEAD", key: "k" });
    expect(request.path).toBe("/bkt/k");
    expect(request.headers.host).toBe("127.0.0.1:81");
  });

  it("is signed for the bucket and key whatever the addressing", () => {
    const cname = bucketAddress({ endpoint, addressing: "cname", bucket: "bkt" });
    const path = bucketAddress({ endpoint, addressing: "path", bucket: "bkt" });
    const signed = [builder(), builder({ address: cname }), builder({ address: path })].map(
      (requests) => requests.build({ method: "GET", key: "k", headers: { range: "bytes=0-1" } }).headers.authorization,
    );
    expect(signed[0]).toMatch(/^OSS4-HMAC-SHA256 Credential=ak\/20231216\/cn-hangzhou\//);
    expect(new Set(signed).size).toBe(1);
  });

  it("follows a refresh of credentials and clock", () => {
    const state: SigningState = { credentials: undefined, clockOffsetMs: 0 };
    const requests = builder({ state });
    expect(requests.build({ method: "GET", key: "k", headers: { "if-match": '"e"' } }).headers).toEqual({
      "if-match": '"e"',
      host: "bkt.oss-cn-hangzhou.aliyuncs.com",
    });
    state.credentials = { accessKeyId: "new", accessKeySecret: "s", securityToken: "tok" };
    state.clockOffsetMs = 60_000;
    const { headers } = requests.build({ method: "GET", key: "k" });
    expect(headers.authorization).toContain("Credential=new/");
    expect(headers["x-oss-security-token"]).toBe("tok");
    expect(headers["x-oss-date"]).toBe("20231216T162157Z");
  });

  it("is signed with V1 on demand", () => {
    const { headers } = builder({ signature: { version: "v1" } }).build({ method: "GET", key: "k" });
    expect(headers.authorization).toMatch(/^OSS ak:/);
    expect(headers.date).toBe("Sat, 16 Dec 2023 16:20:57 GMT");
  });

  it("never offers a content coding", () => {
    expect(builder().build({ method: "GET", key: "k" }).headers).not.toHaveProperty("accept-encoding");
  });
});
