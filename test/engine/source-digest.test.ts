import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DigestState, SourceDigest } from "../../src/engine/source-digest.ts";
import { entryOf } from "../support/sources.ts";

type Entries = readonly ReturnType<typeof entryOf>[];

function digestOf(entries: Entries): string {
  const digest = new SourceDigest();
  for (const entry of entries) digest.add(entry);
  return digest.finish();
}

const many = Array.from({ length: 2500 }, (_, i) => entryOf(`key-${i}`, { sizeBytes: i }));
const sorted: Entries = Array.from({ length: 200_000 }, (_, i) => entryOf(`key-${String(i).padStart(7, "0")}`));

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

describe("a digest that is resumed", () => {
  test("after any number of interruptions, each with planning ahead of the frontier, is that of one run", () => {
    const interruption = fc.record({ frontier: fc.nat(6000), ahead: fc.nat(12_000) });
    fc.assert(
      fc.property(fc.nat(20_000), fc.array(interruption, { maxLength: 5 }), (length, interruptions) => {
        const entries = sorted.slice(0, length);
        let state: DigestState = { chain: "", startAfter: undefined };
        let settled = -1;
        for (const { frontier, ahead } of interruptions) {
          const digest = SourceDigest.resume(state);
          settled = Math.min(settled + frontier, length - 1);
          for (const entry of following(state, entries.slice(0, settled + 1 + ahead))) digest.add(entry);
          state = digest.stateAt(entries[settled]?.key);
        }
        const digest = SourceDigest.resume(state);
        for (const entry of following(state, entries)) digest.add(entry);
        expect(digest.finish()).toBe(digestOf(entries));
      }),
      { numRuns: 25 },
    );
  });

  test("lists at most a block again when planning is 10,000 entries ahead", () => {
    const digest = new SourceDigest();
    for (const entry of sorted.slice(0, 60_000)) digest.add(entry);
    const states = [50_000, 50_000, 51_100, 59_999].map((at) => digest.stateAt(sorted[at]?.key).startAfter);
    const blocks = [48, 48, 49, 58].map((block) => sorted[block * 1024 - 1]?.key);
    expect(states).toEqual(blocks);
  });

  test("starts from the beginning as long as nothing was handed out", () => {
    const digest = new SourceDigest();
    for (const entry of sorted.slice(0, 5000)) digest.add(entry);
    const beginning = { chain: "", startAfter: undefined };
    expect(digest.stateAt(undefined)).toEqual(beginning);
    expect(digest.stateAt("a")).toEqual(beginning);
    expect(digest.stateAt(sorted[1024]?.key).startAfter).toBe(sorted[1023]?.key);
  });

  test("is never beyond the frontier, and right, however far planning was ahead", () => {
    const digest = new SourceDigest();
    for (const entry of sorted) digest.add(entry);
    for (const at of [700, 90_000, 150_000, 199_999]) {
      const frontier = sorted[at]?.key ?? "";
      const state = digest.stateAt(frontier);
      expect((state.startAfter ?? "") <= frontier).toBe(true);
      const resumed = SourceDigest.resume(state);
      for (const entry of following(state, sorted)) resumed.add(entry);
      expect(resumed.finish()).toBe(digestOf(sorted));
    }
  });

  test("goes by line in a list of keys, which may be in any order", () => {
    const digest = new SourceDigest();
    const keys = sorted.slice(0, 3000).toReversed();
    for (const [i, entry] of keys.entries()) digest.add(entry, i + 1);
    const state = digest.stateAt(2100);
    expect(state.startAfter).toBe(2048);
    const resumed = SourceDigest.resume(state);
    for (const [i, entry] of keys.entries()) if (i + 1 > 2048) resumed.add(entry, i + 1);
    expect(resumed.finish()).toBe(digestOf(keys));
  });
});

function following({ startAfter }: DigestState, entries: Entries): Entries {
  return entries.filter(({ key }) => startAfter === undefined || key > String(startAfter));
}
