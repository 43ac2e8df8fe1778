import { describe, expect, test } from "vitest";
import { UnfinishedObjects } from "../../src/engine/unfinished-objects.ts";
import { entryOf } from "../support/sources.ts";

const leastBytes = 4096;
const large = (key: string, changes = {}) => entryOf(key, { sizeBytes: 9000, ...changes });
const extent = { start: 0, length: 4096, crc64: 7n };
const left = (key: string) => ({ entry: large(key), position: key, extents: [extent] });

function keysOf(list: UnfinishedObjects): string[] | undefined {
  list.takeSnapshot();
  return list.told?.map(({ entry }) => entry.key);
}

describe("unfinished objects", () => {
  test("are the large ones of which something is written, in key order", () => {
    const list = new UnfinishedObjects(leastBytes);
    expect(list.handOut(entryOf("small", { sizeBytes: leastBytes }))).toBeUndefined();
    const [b, a, none] = ["b", "a", "none"].map((key) => list.handOut(large(key)));
    expect([none?.extents, list.hasProgress, list.takeSnapshot(), list.told]).toEqual([[], false, false, undefined]);
    for (const object of [b, a]) object?.extent(extent);
    expect(keysOf(list)).toEqual(["a", "b"]);
    a?.copied(9000, "crc64");
    expect(keysOf(list)).toEqual(["b"]);
    b?.failed();
    expect(keysOf(list)).toEqual(["b"]);
  });

  test("of an earlier run go on where they are the same version, and are told of until they are asked for", () => {
    const list = new UnfinishedObjects(leastBytes, [left("a"), left("b"), left("c")]);
    expect(keysOf(list)).toEqual(["a", "b", "c"]);
    expect([
      list.waitsFor(large("a")),
      list.waitsFor(large("a", { etag: "other" })),
      list.waitsFor(large("x")),
    ]).toEqual([true, false, false]);
    expect(list.handOut(large("a"))?.extents).toEqual([extent]);
    expect(list.handOut(large("b", { etag: "other" }))?.extents).toEqual([]);
    expect(keysOf(list)).toEqual(["a", "c"]);
    expect(list.takeLeftBehind().map(({ key, etag }) => [key, etag])).toEqual([
      ["b", '"b"'],
      ["c", '"c"'],
    ]);
    expect(keysOf(list)).toEqual(["a"]);
    expect(list.takeLeftBehind()).toEqual([]);
  });

  test("that are small now go on all the same", () => {
    const list = new UnfinishedObjects(1e9, [left("a")]);
    expect(list.handOut(large("a"))?.extents).toEqual([extent]);
  });

  test("that have failed are kept with what is written of them, up to a bound", () => {
    const list = new UnfinishedObjects(leastBytes);
    list.handOut(large("nothing"))?.failed();
    expect(list.hasProgress).toBe(false);
    for (let i = 0; i < 1200; i++) {
      const object = list.handOut(large(`k${String(i).padStart(4, "0")}`));
      object?.extent(extent);
      object?.failed();
    }
    expect(keysOf(list)).toHaveLength(1000);
  });

  test("are told of once more when there are none any more, and not again", () => {
    const list = new UnfinishedObjects(leastBytes, [left("a")]);
    list.takeLeftBehind();
    expect([keysOf(list), keysOf(list), list.takeSnapshot()]).toEqual([[], [], true]);
    list.saved();
    expect([keysOf(list), list.takeSnapshot()]).toEqual([undefined, false]);
  });

  test("that are settled after a snapshot are not told of, and what is written later is not either", () => {
    const list = new UnfinishedObjects(leastBytes);
    const [a, b] = ["a", "b"].map((key) => list.handOut(large(key)));
    for (const object of [a, b]) object?.extent(extent);
    expect(list.takeSnapshot()).toBe(true);
    a?.copied(9000, "crc64");
    b?.extent({ start: 4096, length: 4904, crc64: 8n });
    expect(list.told).toEqual([{ entry: large("b"), position: "b", extents: [extent] }]);
    b?.copied(9000, "crc64");
    expect(list.told).toBeUndefined();
  });

  test("that a list of keys has twice are told of once", () => {
    const list = new UnfinishedObjects(leastBytes);
    for (let i = 0; i < 2; i++) list.handOut(large("a"))?.extent(extent);
    expect(keysOf(list)).toEqual(["a"]);
  });

  test.each(["copied", "failed"] as const)("take no second end: %s", (end) => {
    const object = new UnfinishedObjects(leastBytes).handOut(large("a"));
    if (end === "copied") object?.copied(9000, "crc64");
    else object?.failed();
    expect(() => object?.failed()).toThrow("object a cannot be");
  });
});
