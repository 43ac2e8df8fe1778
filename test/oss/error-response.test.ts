import { describe, expect, it } from "vitest";
import type { ErrorKind } from "../../src/errors.ts";
import { classify, httpDateMs, refusal } from "../../src/oss/error-response.ts";
import type { Operation } from "../../src/types.ts";

const serverDate = "Wed, 28 Dec 2022 10:27:41 GMT";

function xml(fields: Readonly<Record<string, string>>): string {
  const elements = Object.entries(fields).map(([name, value]) => `  <${name}>${value}</${name}>\n`);
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n${elements.join("")}</Error>\n`;
}

function refused(
  status: number,
  fields: Readonly<Record<string, string>> | string,
  { headers = {}, operation = "get" }: { headers?: Readonly<Record<string, string>>; operation?: Operation } = {},
) {
  const body = typeof fields === "string" ? fields : xml(fields);
  return refusal({ operation, key: operation === "list" ? "" : "a/b" }, { status, headers }, Buffer.from(body));
}

describe("the kind of a refusal", () => {
  const table: readonly [number, string | undefined, Operation, ErrorKind][] = [
    [412, "PreconditionFailed", "get", "changed"],
    [416, "InvalidRange", "get", "changed"],
    [403, "InvalidObjectState", "get", "unsupported"],
    [404, "NoSuchKey", "get", "missing"],
    [404, "SymlinkTargetNotExist", "get", "missing"],
    [404, undefined, "head", "missing"],
    [404, "NoSuchBucket", "get", "source"],
    [404, "NoSuchBucket", "list", "source"],
    [404, undefined, "list", "source"],
    [400, "InvalidArgument", "list", "source"],
    [412, undefined, "list", "source"],
    [403, "SecurityTokenExpired", "get", "expired"],
    [403, "InvalidSecurityToken", "list", "expired"],
    [400, "InvalidSecurityToken", "get", "expired"],
    [403, "RequestTimeTooSkewed", "head", "expired"],
    [403, "AccessDenied", "get", "auth"],
    [403, "SignatureDoesNotMatch", "list", "auth"],
    [403, "InvalidAccessKeyId", "list", "auth"],
    [403, undefined, "head", "auth"],
    [401, undefined, "get", "auth"],
    [429, undefined, "get", "throttled"],
    [503, "DownloadTrafficRateLimitExceeded", "get", "throttled"],
    [503, "NoSuchBucket", "list", "throttled"],
    [408, "RequestTimeout", "list", "server"],
    [400, "BadRequest", "get", "server"],
    [500, "InternalError", "list", "server"],
    [502, undefined, "get", "server"],
    [504, undefined, "get", "server"],
    [599, undefined, "get", "server"],
    [301, undefined, "list", "source"],
    [302, undefined, "get", "source"],
    [307, "TemporaryRedirect", "head", "source"],
    [304, undefined, "get", "protocol"],
    [204, undefined, "get", "protocol"],
    [400, "InvalidTargetType", "get", "rejected"],
    [400, undefined, "get", "rejected"],
    [405, "MethodNotAllowed", "get", "rejected"],
    [409, undefined, "head", "rejected"],
  ];

  it.each(table)("of %i %s for %s is %s…", (status, code, operation, kind) => {
    expect(classify(status, code, operation)).toBe(kind);
  });
});

describe("a refusal", () => {
  it("tells subject, status, code, message and EC, and carries the request id", () => {
    const error = refused(403, {
      Code: "AccessDenied",
      Message: "You have no right &amp; no &#114;ole",
      RequestId: "5F1",
      EC: "0003-00000001",
    });
    expect(error.message).toBe('"a/b" was refused: 403 AccessDenied, You have no right & no role (EC 0003-00000001)');
    expect(error.requestId).toBe("5F1");
  });

  it("prefers what the headers say", () => {
    const headers = { "x-oss-request-id": "H1", "x-oss-ec": "H2" };
    const error = refused(400, { Code: "X", RequestId: "B1", EC: "B2" }, { headers });
    expect(error.requestId).toBe("H1");
    expect(error.message).toContain("(EC H2)");
  });

  it("of a HEAD is read from its header", () => {
    const encoded = Buffer.from(xml({ Code: "NoSuchBucket", Message: "gone" })).toString("base64");
    const error = refused(404, "", { headers: { "x-oss-err": encoded }, operation: "head" });
    expect(error.kind).toBe("source");
    expect(error.message).toBe('the head of "a/b" was refused: 404 NoSuchBucket, gone');
  });

  it.each(["", "<html><h1>Bad gateway</h1></html>", "<Error><Code>Cut", "\0\xff", "<Code></Code>"])(
    "needs no XML: %j",
    (body) => {
      const error = refused(502, body);
      expect(error.kind).toBe("server");
      expect(error.message).toBe('"a/b" was refused: 502');
    },
  );

  it("of an archived object says what to do about it", () => {
    const fields = { Code: "InvalidObjectState", Message: "The operation is not valid for the object's state" };
    const headers = { "x-oss-storage-class": "ColdArchive" };
    expect(refused(403, fields, { headers }).message).toMatch(
      /^"a\/b" is archived \(storage class ColdArchive\) and must be restored before it can be read: 403 /,
    );
    expect(refused(403, fields).message).toContain("is archived and must be restored");
  });

  it("that redirects names the endpoint and nothing that could be a secret", () => {
    const location = "http://bkt.oss-cn-beijing.aliyuncs.com/k?Signature=secret";
    const error = refused(307, "", { headers: { location }, operation: "list" });
    expect(error.message).toContain("the listing to bkt.oss-cn-beijing.aliyuncs.com; if the bucket lives there");
    expect(error.message).not.toContain("secret");
    const named = refused(301, { Code: "Moved", Endpoint: "oss-cn-x.aliyuncs.com" });
    expect(named.message).toContain("to oss-cn-x.aliyuncs.com");
    expect(refused(302, "", { headers: { location: "/relative" } }).message).toContain('request for "a/b": 302');
  });

  it("for the wrong endpoint names the right one", () => {
    const error = refused(403, { Code: "AccessDenied", Endpoint: "oss-cn-x.aliyuncs.com" }, { operation: "list" });
    expect(error.kind).toBe("auth");
    expect(error.message).toBe(
      "the listing was refused: 403 AccessDenied; the bucket's endpoint is oss-cn-x.aliyuncs.com",
    );
  });

  it("of the clock carries the server's", () => {
    const headers = { date: serverDate };
    const skewed = refused(403, { Code: "RequestTimeTooSkewed" }, { headers });
    expect(skewed).toMatchObject({ kind: "expired", serverTimeMs: Date.UTC(2022, 11, 28, 10, 27, 41) });
    expect(refused(403, { Code: "RequestTimeTooSkewed" }, { headers: { date: "now" } }).serverTimeMs).toBeUndefined();
    expect(refused(403, { Code: "SecurityTokenExpired" }, { headers }).serverTimeMs).toBeUndefined();
  });

  it.each([
    ["3", 3000],
    [" 0 ", 0],
    ["Wed, 28 Dec 2022 10:27:51 GMT", 10_000],
    ["Wed, 28 Dec 2022 10:27:31 GMT", 0],
    ["999999999", 3_600_000],
    ["99999999999999999999", undefined],
    ["-1", undefined],
    ["soon", undefined],
    ["", undefined],
  ])("with Retry-After %j waits %s ms", (text, waitMs) => {
    const headers = { "retry-after": text, date: serverDate };
    expect(refused(503, "", { headers }).retryAfterMs).toBe(waitMs);
    expect(refused(500, "", { headers }).retryAfterMs).toBe(waitMs);
    expect(refused(404, "", { headers }).retryAfterMs).toBeUndefined();
  });

  it("cannot flood or forge a line of the log", () => {
    const long = "A\n\u001b[31m\u202e".repeat(3000);
    const error = refused(403, { Code: long, Message: long, RequestId: long, EC: long, Endpoint: long });
    expect(error.message.length).toBeLessThan(8000);
    expect(error.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(error.requestId).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect(error.message).toContain("\\u{a}\\u{1b}[31m\\u{202e}");
  });
});

describe("an HTTP date", () => {
  it("is read in its one present form", () => {
    expect(httpDateMs(serverDate)).toBe(1672223261000);
    for (const text of [undefined, "", "2022-12-28", "Wed, nonsense GMT", "5"])
      expect(httpDateMs(text)).toBeUndefined();
  });
});
