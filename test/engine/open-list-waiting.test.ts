import { describe, expect, test } from "vitest";
import { OpenList } from "../../src/engine/open-list.ts";
import { TooManyFailures } from "../../src/engine/too-many-failures.ts";
import { turn } from "../support/fake-clock.ts";
import { entryOf } from "../support/sources.ts";

const never = new AbortController().signal;
const extent = { start: 0, length: 4096, crc64: 7n };

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
    expect(list.snapshot()?.open.map(({ entry }) => entry.key)).toEqual(["a", "b"]);
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
