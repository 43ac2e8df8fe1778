import { describe, expect, test } from "vitest";
import type { OpenListState } from "../../src/engine/checkpoint.ts";
import { OpenList } from "../../src/engine/open-list.ts";
import { entryOf } from "../support/sources.ts";

const extent = { start: 0, length: 4096, crc64: 7n };

function openKeys(state: OpenListState | undefined): string[] | undefined {
  return state?.open.map(({ entry }) => entry.key);
}

describe("the open list", () => {
  test("holds what was handed out until it is settled, in any order, and the frontier stays at the last", () => {
    const list = new OpenList();
    const [a, b, c, d] = ["a", "b", "c", "d"].map((key) => list.handOut(entryOf(key, { sizeBytes: 5 })));
    c?.copied(5, "crc64");
    a?.skipped();
    d?.copied(0, undefined);
    expect(list.snapshot()).toEqual({
      frontier: "d",
      open: [{ entry: entryOf("b", { sizeBytes: 5 }), position: "b", extents: [] }],
      counts: {
        copied: { objects: 2, bytes: 5 },
        skipped: { objects: 1, bytes: 5 },
        verified: { crc64: 1, md5: 0, lengthOnly: 0 },
      },
      keysAscend: true,
    });
    b?.failed();
    expect(openKeys(list.snapshot())).toEqual(["b"]);
    expect(list.size).toBe(1);
  });

  test("before anything was handed out knows no frontier, whatever planning has found", () => {
    const list = new OpenList();
    list.refused(entryOf("a"));
    list.passed(entryOf("b"), "copied");
    expect(list.snapshot()).toMatchObject({ frontier: undefined, open: [], counts: { copied: { objects: 0 } } });
  });

  test("has what planning refused or passed only once the frontier is beyond it", () => {
    const list = new OpenList();
    list.passed(entryOf("a", { sizeBytes: 3 }), "skipped");
    list.handOut(entryOf("b")).copied(1, "md5");
    list.refused(entryOf("c"));
    list.passed(entryOf("d", { sizeBytes: 4 }), "copied");
    list.handOut(entryOf("b2")).copied(1, "crc64");
    expect(list.snapshot()).toMatchObject({ open: [], counts: { skipped: { bytes: 3 }, copied: { objects: 2 } } });
    list.handOut(entryOf("e")).copied(1, "crc64");
    expect(openKeys(list.snapshot())).toEqual(["c"]);
    expect(list.snapshot()?.counts).toMatchObject({ skipped: { objects: 1 }, copied: { objects: 4, bytes: 7 } });
  });

  test("does not grow with what planning passes, and counts it all in the end", () => {
    const list = new OpenList();
    const keyOf = (i: number): string => `key-${String(i).padStart(9, "0")}`;
    for (let i = 0; i < 100_000; i++) list.passed(entryOf(keyOf(i), { sizeBytes: 2 }), i % 2 ? "copied" : "skipped");
    list.handOut(entryOf(keyOf(50_000))).copied(0, undefined);
    const half = list.snapshot()?.counts.copied.objects ?? 0;
    expect(half).toBeGreaterThan(24_000);
    expect(half).toBeLessThanOrEqual(25_001);
    list.handOut(entryOf(keyOf(100_000))).copied(0, undefined);
    expect(list.snapshot()?.counts).toMatchObject({
      copied: { objects: 50_002, bytes: 100_000 },
      skipped: { objects: 50_000, bytes: 100_000 },
    });
  });

  test("keeps extents merged and gives snapshots of their own", () => {
    const list = new OpenList();
    const large = list.handOut(entryOf("large", { sizeBytes: 9000 }));
    large.extent(extent);
    const before = list.snapshot();
    large.extent({ start: 8192, length: 808, crc64: 9n });
    expect(before?.open[0]?.extents).toEqual([extent]);
    expect(list.snapshot()?.open[0]?.extents).toHaveLength(2);
    large.extent({ start: 4096, length: 4096, crc64: 8n });
    expect(list.snapshot()?.open[0]?.extents).toMatchObject([{ start: 0, length: 9000 }]);
  });

  test.each(["copied", "failed", "skipped", "dropped"] as const)("takes no second end: %s", (end) => {
    const list = new OpenList();
    list.handOut(entryOf("a"));
    const object = list.handOut(entryOf("b"));
    if (end === "failed") object.failed();
    else object.copied(1, "crc64");
    const again = (): void => (end === "copied" ? object.copied(1, "crc64") : object[end]());
    expect(again).toThrow("object b cannot be");
    expect(openKeys(list.snapshot())).toEqual(end === "failed" ? ["a", "b"] : ["a"]);
  });

  test("says so when keys do not ascend, by its own eyes or another's", () => {
    const list = new OpenList();
    list.handOut(entryOf("b"));
    list.handOut(entryOf("a"));
    expect(list.snapshot()).toMatchObject({ frontier: "b", keysAscend: false });
    const other = new OpenList();
    other.outOfOrder();
    expect(other.snapshot()?.keysAscend).toBe(false);
  });

  test("orders keys by their bytes", () => {
    const list = new OpenList();
    for (const key of ["Z", "a", "\uffff", "\u{1f600}"]) list.handOut(entryOf(key));
    expect(list.snapshot()).toMatchObject({ frontier: "\u{1f600}", keysAscend: true });
    expect(openKeys(list.snapshot())).toEqual(["Z", "a", "\uffff", "\u{1f600}"]);
  });

  test("goes by line in a list of keys, where a key may come twice", () => {
    const list = new OpenList();
    list.handOut(entryOf("b"), 1);
    list.handOut(entryOf("a"), 2).copied(1, "crc64");
    list.refused(entryOf("b"), 3);
    list.handOut(entryOf("c"), 4);
    const state = list.snapshot();
    expect(state).toMatchObject({ frontier: 4, keysAscend: true });
    expect(state?.open.map(({ position }) => position)).toEqual([1, 3, 4]);
    const next = new OpenList(10, state);
    next.handOut(entryOf("b"), 1).copied(1, "crc64");
    next.refused(entryOf("b"), 3);
    expect(next.snapshot()?.open.map(({ position }) => position)).toEqual([3, 4]);
  });
});

describe("a run that goes on from a snapshot", () => {
  const large = entryOf("large", { sizeBytes: 9000 });
  const left = (): OpenListState | undefined => {
    const list = new OpenList();
    for (const key of ["a", "b", "c"]) list.handOut(entryOf(key));
    list.handOut(large).extent(extent);
    list.handOut(entryOf("m")).copied(1, "crc64");
    return list.snapshot();
  };

  test("has the same frontier, counts and entries until it does something", () => {
    const list = new OpenList(10, left());
    expect(list.snapshot()).toEqual(left());
    expect([list.waiting, list.size, list.frontier]).toEqual([4, 4, "m"]);
  });

  test("hands the open entries out again without moving the frontier", () => {
    const list = new OpenList(10, left());
    list.handOut(entryOf("a")).copied(1, "crc64");
    list.refused(entryOf("b"));
    list.passed(entryOf("c"), "skipped");
    expect(list.handOut(large).extents).toEqual([extent]);
    expect(list.waiting).toBe(0);
    expect(list.snapshot()).toMatchObject({
      frontier: "m",
      keysAscend: true,
      counts: { copied: { objects: 2 }, skipped: { objects: 1 } },
    });
    expect(openKeys(list.snapshot())).toEqual(["b", "large"]);
    list.handOut(entryOf("n"));
    expect(list.snapshot()).toMatchObject({ frontier: "n", keysAscend: true });
  });

  test.each([{ etag: '"other"' }, { sizeBytes: 9001 }])("keeps no extents of another version (%o)", (change) => {
    const list = new OpenList(10, left());
    expect(list.handOut({ ...large, ...change }).extents).toEqual([]);
    expect(list.snapshot()?.open.at(-1)).toMatchObject({ entry: change, extents: [] });
  });

  test("forgets entries that are neither in the source nor on the volume", () => {
    const list = new OpenList(10, left());
    list.dropped("b");
    list.dropped("not on the list");
    expect(openKeys(list.snapshot())).toEqual(["a", "c", "large"]);
    expect(list.snapshot()?.counts).toEqual(left()?.counts);
  });
});
