import { expect, test } from "vitest";
import { SourceDigest } from "../../src/engine/source-digest.ts";
import { entryOf } from "../support/sources.ts";

function digestOf(entries: readonly ReturnType<typeof entryOf>[]): string {
  const digest = new SourceDigest();
  for (const entry of entries) digest.add(entry);
  return digest.finish();
}

const many = Array.from({ length: 2500 }, (_, i) => entryOf(`key-${i}`, { sizeBytes: i }));

test("the same entries give the same 64 hexadecimal digits", () => {
  expect(digestOf(many)).toMatch(/^[0-9a-f]{64}$/);
  expect(digestOf(many)).toBe(digestOf([...many]));
  expect(digestOf([])).toMatch(/^[0-9a-f]{64}$/);
});

test("key, size, ETag, order and number all count, and nothing else does", () => {
  const [first, second] = [entryOf("a"), entryOf("b")];
  const digests = [
    [first, second],
    [second, first],
    [first],
    [first, second, second],
    [entryOf("a", { sizeBytes: 2 }), second],
    [entryOf("a", { etag: '"x"' }), second],
    [entryOf("A"), second],
    many,
    many.slice(0, 1024),
    many.slice(0, 1023),
  ].map(digestOf);
  expect(new Set(digests).size).toBe(digests.length);
  expect(digestOf([entryOf("a", { modifiedMs: 7, storageClass: "IA", type: "Multipart" }), second])).toBe(digests[0]);
});
