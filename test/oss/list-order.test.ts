import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareUtf8 } from "../../src/oss/list-order.ts";

describe("the order of keys", () => {
  it("is that of their UTF-8 bytes", () => {
    const key = fc.string({
      unit: fc.constantFrom("a", "b", "/", "\u{7f}", "é", "\ud7ff", "\ue000", "\uffff", "𐀀", "💾", "\u{10ffff}"),
    });
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });

  it("puts characters beyond U+FFFF last, where UTF-16 does not", () => {
    expect("\u{1f4be}" < "\uffee").toBe(true);
    expect(compareUtf8("\u{1f4be}", "\uffee")).toBeGreaterThan(0);
  });
});
