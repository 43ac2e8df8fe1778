import fc from "fast-check";
import { expect, test } from "vitest";
import { createShare, shardOf } from "../../src/engine/share.ts";

const key = fc.oneof(fc.string({ unit: "grapheme", maxLength: 40 }), fc.string({ unit: "binary", maxLength: 10 }));

test("the shares of any count are disjoint and complete", () => {
  fc.assert(
    fc.property(fc.array(key, { maxLength: 50 }), fc.integer({ min: 1, max: 200 }), (keys, count) => {
      const shares = Array.from({ length: count }, (_, index) => createShare({ index, count }));
      for (const each of keys) expect(shares.filter((has) => has(each))).toHaveLength(1);
    }),
  );
});

test("a single shard, like none, has everything", () => {
  for (const shard of [undefined, { index: 0, count: 1 }]) {
    expect(["", "a", "data/b/"].every(createShare(shard))).toBe(true);
  }
});

/** Also computable as: printf %s KEY | sha256sum | cut -c1-12, read as a hexadecimal number, modulo the count. */
test.each([
  ["", 8, 4],
  ["a", 8, 3],
  ["data/model/weights-00001.bin", 8, 4],
  ["data/model/weights-00002.bin", 8, 5],
  ["data/model/weights-00003.bin", 8, 5],
  ["data/ünïcödé/文件", 8, 0],
  ["data/\u{1f4be}", 8, 3],
  ["data/model/weights-00001.bin", 3, 1],
  ["data/model/weights-00001.bin", 1000, 500],
  ["data/model/weights-00001.bin", 1_000_000, 461_500],
] as const)("key %j is, among %i shards, in number %i, now and for ever", (each, count, index) => {
  expect(shardOf(each, count)).toBe(index);
});

test.each([2, 3, 8, 10, 64])("numbered keys spread evenly over %i shards", (count) => {
  const keys = Array.from({ length: 20_000 }, (_, i) => `data/part-${String(i).padStart(6, "0")}.parquet`);
  const sizes = Array.from({ length: count }, (_, index) => keys.filter(createShare({ index, count })).length);
  const fair = keys.length / count;
  for (const size of sizes) expect(Math.abs(size - fair)).toBeLessThan(6 * Math.sqrt(fair));
});
