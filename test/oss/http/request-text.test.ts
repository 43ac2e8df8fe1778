import { describe, expect, test } from "vitest";
import { RequestText } from "../../../src/oss/http/request-text.ts";

const text = new RequestText({ origin: { scheme: "https", host: "bucket.example", port: 443 } });

describe("a request's text", () => {
  test("is the path verbatim, one Host, and the headers as given", () => {
    const request = {
      method: "GET",
      path: "/a//..?x=%20",
      headers: { Range: "bytes=0-1", "x-oss-date": "now" },
    } as const;
    expect(text.of(request)).toBe(
      "GET /a//..?x=%20 HTTP/1.1\r\nHost: bucket.example\r\nRange: bytes=0-1\r\nx-oss-date: now\r\n\r\n",
    );
    expect(text.of({ ...request, headers: { HOST: "other" } })).toBe(
      "GET /a//..?x=%20 HTTP/1.1\r\nHost: other\r\n\r\n",
    );
  });

  test("names the port where it is not the scheme's own, and an IPv6 address in brackets", () => {
    const other = new RequestText({ origin: { scheme: "http", host: "::1", port: 8080 } });
    expect(other.of({ method: "HEAD", path: "/", headers: {} })).toContain("HEAD / HTTP/1.1\r\nHost: [::1]:8080\r\n");
  });

  test("is refused where it could become another request", () => {
    const bad = [
      { path: "/a b" },
      { path: "/a\r\nX: y" },
      { path: "no-slash" },
      { path: "/\u4e2d" },
      { headers: { "x y": "z" } },
      { headers: { "": "z" } },
      { headers: { x: "y\r\nz: w" } },
      { headers: { x: "y\n" } },
      { headers: { x: "\u4e2d" } },
      { headers: { "x:": "y" } },
    ];
    for (const part of bad) {
      expect(() => text.of({ method: "GET", path: "/", headers: {}, ...part }), JSON.stringify(part)).toThrow(
        TypeError,
      );
    }
  });
});
