import fc from "fast-check";
import { expect, test } from "vitest";
import { createRedact } from "../../src/observe/redact.ts";

test("a known secret is replaced, plain and percent-encoded, wherever it stands", () => {
  const redact = createRedact(() => ["abc/+=def"]);
  expect(redact("token abc/+=def and abc%2F%2B%3Ddef.")).toBe("token [redacted] and [redacted].");
});

test("a secret that begins another one does not leave the rest of it", () => {
  const redact = createRedact(() => ["secret", "secret-and-more"]);
  expect(redact("x secret-and-more y secret z")).toBe("x [redacted] y [redacted] z");
});

test("secrets that appear later count", () => {
  const secrets: string[] = [];
  const redact = createRedact(() => secrets);
  expect(redact("hidden-value")).toBe("hidden-value");
  secrets.push("hidden-value");
  expect(redact("hidden-value")).toBe("[redacted]");
});

test.each([
  ["?x-oss-signature=0123abcd&x-oss-date=1", "?x-oss-signature=[redacted]&x-oss-date=1"],
  ["?Signature=ab%2Fcd%3D&Expires=1", "?Signature=[redacted]&Expires=1"],
  ["x-oss-security-token: CAISabc", "x-oss-security-token: [redacted]"],
  ['{"AccessKeySecret":"xyz123"}', '{"AccessKeySecret":"[redacted]"}'],
  ["authorization: OSS LTAI5t:qwertyuiopasdfghjklzxcvb=", "authorization: OSS LTAI5t:[redacted]"],
  ["bad token eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrIn0aa.c2ln", "bad token [redacted]"],
])("what looks like a secret goes: %s", (text, clean) => {
  expect(createRedact(() => [])(text)).toBe(clean);
});

test.each(["x-oss-signature-version: OSS4-HMAC-SHA256", "signature mismatch", "copied OSS objects: 5", ""])(
  "an ordinary text stays: %s",
  (text) => {
    expect(createRedact(() => ["", "x"])(text)).toBe(text);
  },
);

test("no known secret survives in any text", () => {
  const secret = fc.string({ minLength: 8, unit: "grapheme-ascii" });
  fc.assert(
    fc.property(fc.array(secret, { maxLength: 4 }), fc.string(), fc.string(), (secrets, before, after) => {
      const redact = createRedact(() => secrets);
      const clean = redact(before + secrets.join(after)).replaceAll("[redacted]", "\0");
      for (const value of secrets) expect(clean).not.toContain(value);
    }),
  );
});
