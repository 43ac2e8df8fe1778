import fc from "fast-check";
import { expect, test } from "vitest";
import { compareKeys } from "../../src/engine/key-order.ts";

const key = fc.string({
  unit: fc.oneof(
    fc.constantFrom("a", "b", "/", "é", "\u{1f600}", "\u{10ffff}", "\ue000", "\uffff", "\ud7ff"),
    fc.string(),
  ),
  maxLength: 8,
});

test("keys are ordered as their bytes are", () => {
  fc.assert(
    fc.property(key, key, (a, b) => {
      fc.pre(a.isWellFormed() && b.isWellFormed());
      expect(Math.sign(compareKeys(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { numRuns: 2000 },
  );
});
