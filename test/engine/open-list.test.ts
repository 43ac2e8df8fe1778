import { describe, expect, test } from "vitest";
import type { OpenListState } from "../../src/engine/checkpoint.ts";
import { OpenList } from "../../src/engine/open-list.ts";
import { TooManyFailures } from "../../src/engine/too-many-failures.ts";
import { turn } from "../support/fake-clock.ts";
import { entryOf } from "../support/sources.ts";

const never = new AbortController().signal;
const extent = { start: 0, length: 4096, crc64: 7n };

function openKeys(state: OpenListState | undefined): string[] | undefined {
  return state?.open.map(({ entry }) => entry.key);
}

/** Whether a promise has settled yet, and how. */
async function stateOf(promise: Promise<unknown>): Promise<string> {
  let state = "pending";
  promise.then(
    () => {
      state = "resolved";
    },
    (error: unknown) => {
      state = error instanceof TooManyFailures ? "too many failures" : `rejected: ${error}`;
    },
  );
  await turn();
  return state;
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

describe("room", () => {
  test("is there until the list is full, and again when one leaves", async () => {
    const list = new OpenList(2);
    await list.room(never);
    list.handOut(entryOf("a"));
    await list.room(never);
    const b = list.handOut(entryOf("b"));
    const [first, second] = [list.room(never), list.room(never)];
    expect(await stateOf(first)).toBe("pending");
    b.copied(1, "crc64");
    // Both: the first may find the queue empty and wake nobody.
    expect(await Promise.all([stateOf(first), stateOf(second)])).toEqual(["resolved", "resolved"]);
  });

  test("is there for what an earlier run left, however much that is", async () => {
    const full = new OpenList(3);
    for (const key of ["a", "b", "c"]) full.handOut(entryOf(key)).failed();
    const list = new OpenList(2, full.snapshot());
    await list.room(never);
    const a = list.handOut(entryOf("a"));
    const b = list.handOut(entryOf("b"));
    await list.room(never);
    list.handOut(entryOf("c"));
    const waiting = list.room(never);
    a.copied(1, "crc64");
    expect(await stateOf(waiting)).toBe("pending");
    b.copied(1, "crc64");
    expect(await stateOf(waiting)).toBe("resolved");
  });

  test("never comes when all have failed: whoever waits or comes later is told", async () => {
    const list = new OpenList(2);
    list.handOut(entryOf("a")).failed();
    const b = list.handOut(entryOf("b"));
    const waiting = list.room(never);
    expect(await stateOf(waiting)).toBe("pending");
    b.failed();
    expect(await stateOf(waiting)).toBe("too many failures");
    await expect(list.room(never)).rejects.toThrow(TooManyFailures);
    expect(openKeys(list.snapshot())).toEqual(["a", "b"]);
  });

  test("ends, and snapshots with it, when planning refuses more than the list can keep", async () => {
    const list = new OpenList(2);
    list.handOut(entryOf("a"));
    for (const key of ["b", "c"]) list.refused(entryOf(key));
    expect(list.snapshot()).toBeDefined();
    const waiting = list.room(never);
    expect(await stateOf(waiting)).toBe("pending");
    for (let i = 0; i < 1000; i++) list.refused(entryOf(`d${i}`));
    expect(await stateOf(waiting)).toBe("too many failures");
    expect(list.size).toBe(3);
    expect(list.snapshot()).toBeUndefined();
  });

  test("is not waited for by those who leave", async () => {
    const list = new OpenList(1);
    list.handOut(entryOf("a"));
    const stop = new AbortController();
    const waiting = list.room(stop.signal);
    stop.abort(new Error("stopped"));
    await expect(waiting).rejects.toThrow("stopped");
    await expect(list.room(stop.signal)).rejects.toThrow("stopped");
  });
});

describe("an object that starts over", () => {
  const entry = entryOf("large", { sizeBytes: 9000 });
  const other = { ...entry, etag: '"other"' };

  test("may do so at once while no snapshot knows its extents", async () => {
    const list = new OpenList();
    const object = list.handOut(entry);
    list.snapshot();
    object.extent(extent);
    await list.startOver(object, other, never);
    expect([object.entry, object.extents, list.urgent]).toEqual([other, [], false]);
    object.extent(extent);
  });

  test("waits until a snapshot without its extents is on stable storage", async () => {
    const list = new OpenList();
    const object = list.handOut(entry);
    object.extent(extent);
    list.snapshot();
    const waiting = list.startOver(object, entry, never);
    list.saved(); // the one that has them
    expect([await stateOf(waiting), list.urgent]).toEqual(["pending", true]);
    expect(list.snapshot()?.open[0]?.extents).toEqual([]);
    expect(await stateOf(waiting)).toBe("pending");
    list.saved();
    expect([await stateOf(waiting), list.urgent]).toEqual(["resolved", false]);
    await list.startOver(object, entry, never);
  });

  test("waits also when an earlier run left the checkpoint with its extents", async () => {
    const before = new OpenList();
    before.handOut(entry).extent(extent);
    const list = new OpenList(10, before.snapshot());
    const object = list.handOut(other);
    const waiting = list.startOver(object, other, never);
    expect(await stateOf(waiting)).toBe("pending");
    list.snapshot();
    list.saved();
    expect(await stateOf(waiting)).toBe("resolved");
  });

  test("is not waited for by those who leave, nor when no snapshot will ever come", async () => {
    const list = new OpenList(1);
    const object = list.handOut(entry);
    object.extent(extent);
    list.snapshot();
    const stop = new AbortController();
    const stopped = list.startOver(object, entry, stop.signal);
    stop.abort(new Error("stopped"));
    await expect(stopped).rejects.toThrow("stopped");
    expect(list.urgent).toBe(false);
    const waiting = list.startOver(object, entry, never);
    for (const key of ["x", "y"]) list.refused(entryOf(key));
    expect(await stateOf(waiting)).toBe("too many failures");
  });
});
