import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { mostCheckpointBytes, parseCheckpoint, stringifyCheckpoint } from "../../src/engine/checkpoint-format.ts";
import { anyState, block, sampleState, sealed } from "./checkpoint-samples.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const json = stringifyCheckpoint(sampleState()).split("\n")[1] ?? "";

describe("a checkpoint", () => {
  test("comes back as it was written, whatever is in it", () => {
    fc.assert(
      fc.property(anyState(), (state) => {
        const text = stringifyCheckpoint(state);
        expect(parseCheckpoint(bytesOf(text))).toEqual({ status: "ok", state });
        expect(parseCheckpoint(text)).toEqual({ status: "ok", state });
      }),
      { numRuns: 300 },
    );
  });

  test("is refused when any of its bits is another", () => {
    const intact = bytesOf(stringifyCheckpoint(sampleState()));
    const accepted: string[] = [];
    for (let at = 0; at < intact.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = intact.slice();
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
        if (parseCheckpoint(flipped).status === "ok") accepted.push(`bit ${bit} of byte ${at}`);
      }
    }
    expect(accepted).toEqual([]);
  });

  test("is refused when it ends early, and when something follows", () => {
    const intact = bytesOf(stringifyCheckpoint(sampleState()));
    const accepted: number[] = [];
    for (let length = 0; length < intact.length; length++) {
      if (parseCheckpoint(intact.subarray(0, length)).status === "ok") accepted.push(length);
    }
    expect(accepted).toEqual([]);
    expect(parseCheckpoint(bytesOf(`${stringifyCheckpoint(sampleState())}\n`)).status).toBe("damaged");
  });

  test("is refused when any stretch of it was replaced", () => {
    const intact = bytesOf(stringifyCheckpoint(sampleState()));
    const stretch = fc.record({
      at: fc.nat(intact.length - 1),
      other: fc.uint8Array({ minLength: 1, maxLength: 600 }),
    });
    fc.assert(
      fc.property(stretch, ({ at, other }) => {
        const changed = intact.slice();
        changed.set(other.subarray(0, intact.length - at), at);
        const loaded = parseCheckpoint(changed);
        expect(loaded.status === "ok").toBe(Buffer.compare(changed, intact) === 0);
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ["nothing", "", "foreign"],
    ["another format", sealed("{}", "something/v1"), "foreign"],
    ["a longer name", sealed(json, "my-oss-populator.checkpoint/v1"), "foreign"],
    ["a later version", sealed("who knows", "oss-populator.checkpoint/v2"), "newer"],
    ["a version that never was", sealed(json, "oss-populator.checkpoint/v0"), "damaged"],
    ["the start of a later version", "oss-populator.checkpoint/v2\n{}", "damaged"],
    ["the first line alone", "oss-populator.checkpoint/v1\n", "damaged"],
    ["no JSON", sealed("{"), "damaged"],
    ["a list", sealed("[]"), "damaged"],
    ["depth", sealed("[".repeat(200_000)), "damaged"],
    ["a byte order mark", sealed(`\ufeff${json}`), "damaged"],
  ])("of %s is told apart in one sentence", (_what, text, status) => {
    const loaded = parseCheckpoint(bytesOf(text));
    expect(loaded).toEqual({ status, reason: expect.stringMatching(/^the checkpoint on the target [^\n]{10,120}$/) });
  });

  test("in bytes that are not UTF-8 is damaged, even with the right checksum", () => {
    const text = Buffer.from(sealed(json.replace("data/a", "data/\u00ff")), "latin1");
    expect(parseCheckpoint(text).status).toBe("damaged");
  });

  test("larger than any of ours is not looked at", () => {
    expect(parseCheckpoint(new Uint8Array(mostCheckpointBytes + 1))).toMatchObject({ status: "damaged" });
  });

  test("is read from the middle of a larger buffer", () => {
    const text = Buffer.from(`before${stringifyCheckpoint(sampleState())}after`);
    expect(parseCheckpoint(text.subarray(6, -5)).status).toBe("ok");
  });
});

type Json = Record<string, unknown>;
const large = { start: 0, length: block, crc64: "1" };

/** Changes to a good state that make it contradict itself, each behind a right checksum. */
const lies: readonly (readonly [string, (state: Json, entry: Json) => void])[] = [
  ["a field too many", (state) => Object.assign(state, { extra: 1 })],
  ["a field too few", (state) => delete state.fingerprint],
  ["a prototype for a field", (state) => Object.defineProperty(state, "__proto__", { value: {}, enumerable: true })],
  ["a fingerprint that is a number", (state) => Object.assign(state, { fingerprint: 1 })],
  ["a time before all times", (state) => Object.assign(state, { savedAtMs: -1 })],
  ["a time after all times", (state) => Object.assign(state, { savedAtMs: 2 ** 53 - 1 })],
  ["a first start that is no time", (state) => Object.assign(state, { firstStartedAt: "yesterday" })],
  ["a first start of another form", (state) => Object.assign(state, { firstStartedAt: "2027-01-15" })],
  ["a frontier before an open entry", (state) => Object.assign(state, { frontier: "data/b" })],
  ["no frontier and open entries", (state) => Object.assign(state, { frontier: null })],
  ["a line for a frontier of keys", (state) => Object.assign(state, { frontier: 7 })],
  ["a frontier that is a flag", (state) => Object.assign(state, { frontier: true })],
  ["a negative line", (state) => Object.assign(state, { frontier: -7, open: [] })],
  ["a flag that is a number", (state) => Object.assign(state, { keysAscend: 1 })],
  ["an open list that is none", (state) => Object.assign(state, { open: {} })],
  ["the same entry twice", (state, entry) => Object.assign(state, { open: [entry, entry] })],
  ["entries out of order", (state) => (state.open as Json[]).reverse()],
  ["an entry that is a text", (state) => Object.assign(state, { open: ["data/a"] })],
  ["a line for an entry of keys", (_state, entry) => Object.assign(entry, { line: 1 })],
  ["an empty key", (_state, entry) => Object.assign(entry, { key: "" })],
  ["a negative size", (_state, entry) => Object.assign(entry, { sizeBytes: -1 })],
  ["an absurd size", (_state, entry) => Object.assign(entry, { sizeBytes: 2 ** 52 })],
  ["half a byte", (_state, entry) => Object.assign(entry, { sizeBytes: 0.5 })],
  ["a size in words", (_state, entry) => Object.assign(entry, { sizeBytes: "1" })],
  ["no ETag", (_state, entry) => Object.assign(entry, { etag: null })],
  ["a negative time", (_state, entry) => Object.assign(entry, { modifiedMs: -1 })],
  ["an extent beyond its object", (_state, entry) => Object.assign(entry, { extents: [[0, block, "1"]] })],
  ["negative counts", (state) => Object.assign((state.counts as Json).copied as Json, { objects: -1 })],
  ["counts without bytes", (state) => delete ((state.counts as Json).skipped as Json).bytes],
  ["another proof", (state) => Object.assign((state.counts as Json).verified as Json, { sha1: 1 })],
  ["a digest of nothing", (state) => Object.assign(state.digest as Json, { startAfter: null })],
  ["a digest beyond the frontier", (state) => Object.assign(state.digest as Json, { startAfter: "z" })],
  ["a digest by line", (state) => Object.assign(state.digest as Json, { startAfter: 1 })],
  ["half a digest", (state) => Object.assign(state.digest as Json, { chain: "abc" })],
];

test.each(lies)("a checkpoint with %s is damaged", (_what, lie) => {
  const state: Json = JSON.parse(json);
  lie(state, (state.open as Json[])[0] ?? {});
  expect(parseCheckpoint(bytesOf(sealed(JSON.stringify(state))))).toMatchObject({ status: "damaged" });
});

test.each([
  [
    "overlap",
    [
      [0, 2 * block, "1"],
      [block, block, "1"],
    ],
  ],
  [
    "touch",
    [
      [0, block, "1"],
      [block, block, "1"],
    ],
  ],
  [
    "descend",
    [
      [4 * block, block, "1"],
      [0, block, "1"],
    ],
  ],
  ["are empty", [[0, 0, "1"]]],
  ["begin within a block", [[1, block - 1, "1"]]],
  ["end within a block", [[0, 100, "1"]]],
  ["begin before the object", [[-block, block, "1"]]],
  ["end behind the object", [[0, 12 * block, "1"]]],
  ["have no CRC-64", [[0, block]]],
  ["have a CRC-64 that is a number", [[0, block, 1]]],
  ["have a CRC-64 of 65 bits", [[0, block, String(2n ** 64n)]]],
  ["have a CRC-64 in two forms", [[0, block, "01"]]],
  ["have more than they should", [[0, block, "1", 0]]],
  ["are fields", [large]],
  ["are no list", large],
])("a checkpoint with extents that %s is damaged", (_what, extents) => {
  const state: Json = JSON.parse(json);
  const entry = (state.open as Json[])[1] ?? {};
  const bytes = () => bytesOf(sealed(JSON.stringify(state)));
  expect(parseCheckpoint(bytes()).status).toBe("ok");
  entry.extents = extents;
  expect(parseCheckpoint(bytes())).toMatchObject({ status: "damaged" });
});

test("an open list by line has a line in each entry, and may have a key twice", () => {
  const [first, second] = sampleState().open;
  if (!first || !second) throw new Error("the sample has two open entries");
  const open = [
    { ...first, position: 3 },
    { ...first, position: 8 },
    { ...second, position: 9 },
  ];
  const state = sampleState({ frontier: 9, open, digest: { chain: "", startAfter: undefined } });
  const text = stringifyCheckpoint(state);
  expect(parseCheckpoint(bytesOf(text))).toEqual({ status: "ok", state });
  const without = (text.split("\n")[1] ?? "").replace('"line":8,', "");
  expect(parseCheckpoint(bytesOf(sealed(without)))).toMatchObject({ status: "damaged" });
});
