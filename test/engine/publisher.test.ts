import { expect, test } from "vitest";
import { type Keeper, Publisher } from "../../src/engine/publisher.ts";
import { UnfinishedObjects } from "../../src/engine/unfinished-objects.ts";
import { CopyError } from "../../src/errors.ts";
import type { DataPlane, FileTarget, SafePath } from "../../src/types.ts";
import { makeWorld, never, publishLimits } from "../support/engine-world.ts";
import { drive, turn } from "../support/fake-clock.ts";
import { entryOf } from "../support/sources.ts";

const mib = 2 ** 20;

interface SetUp {
  readonly syncFails?: () => boolean;
  readonly publishFails?: (path: string) => Error | undefined;
  /** Bytes above which objects are kept track of; undefined keeps none. */
  readonly keepsAbove?: number;
}

function setUp({ syncFails = () => false, publishFails = () => undefined, keepsAbove }: SetUp = {}) {
  const { clock, plane: memory } = makeWorld();
  const events: string[] = [];
  const written = { bytes: 0 };
  const plane: Pick<DataPlane, "publish" | "stats"> = {
    stats: () => ({ ...memory.stats(), writtenBytes: written.bytes }),
    publish: async (targets: readonly FileTarget[]) => {
      events.push(`publish ${targets.map(({ path }) => path).join(" ")}`);
      await clock.sleep(1, never);
      return targets.map(({ path }) => publishFails(path));
    },
  };
  const sync = async (): Promise<void> => {
    events.push("sync");
    await clock.sleep(5, never);
    events.push("synced");
    if (syncFails()) throw new CopyError("volume", "sync failed");
  };
  const unfinished = new UnfinishedObjects(keepsAbove ?? 0);
  const save: Keeper["save"] = async (open) => {
    events.push(["save", ...open.map(({ entry }) => entry.key)].join(" "));
    await clock.sleep(1, never);
  };
  const keeper = keepsAbove === undefined ? undefined : { unfinished, save };
  const publisher = new Publisher({ plane, sync, clock, limits: publishLimits, keeper });
  const ends: string[] = [];
  const add = (path: string, sizeBytes = 1): Promise<void> =>
    publisher.add(target(path, sizeBytes), (error) => {
      ends.push(error === undefined ? path : `${path}: ${error instanceof Error ? error.message : error}`);
    });
  return { clock, publisher, unfinished, written, add, events, ends };
}

function target(path: string, sizeBytes: number): FileTarget {
  return { path: path as SafePath, sizeBytes, modifiedMs: 0, version: "v" };
}

test("nothing gets its name before a sync that began after its bytes were there has ended", async () => {
  const { clock, publisher, add, events, ends } = setUp();
  await add("a");
  await add("b");
  expect(events).toEqual([]);
  expect(ends).toEqual([]);
  await drive(clock, publisher.flush());
  expect(events).toEqual(["sync", "synced", "publish a b"]);
  expect(ends).toEqual(["a", "b"]);
});

test("a staged file that the target could not name is left for another run to find", async () => {
  const fails = { a: "occupied", b: "volume-full" } as const;
  const publishFails = (path: string) => (path === "a" || path === "b" ? new CopyError(fails[path], path) : undefined);
  const { clock, publisher, add, ends } = setUp({ publishFails });

  await add("a");
  await drive(clock, publisher.flush());
  expect(publisher.isEmpty).toBe(true); // the volume has removed what has no place

  await add("b");
  await drive(clock, publisher.flush());
  expect(ends).toEqual(["a: a", "b: b"]);
  expect(publisher.isEmpty).toBe(false);
});

test("an empty flush does nothing", async () => {
  const { publisher, events } = setUp();
  await publisher.flush();
  expect(events).toEqual([]);
});

test("a batch goes out after 256 MiB", async () => {
  const { clock, add, ends } = setUp();
  await add("a", 255 * mib);
  expect(ends).toEqual([]);
  await drive(clock, add("b", mib));
  expect(ends).toEqual(["a", "b"]);
});

test("a batch goes out after 2,000 files", async () => {
  const { clock, add, ends } = setUp();
  for (let i = 1; i < 2000; i++) await add(`f${i}`);
  expect(ends).toHaveLength(0);
  await drive(clock, add("last"));
  expect(ends).toHaveLength(2000);
});

test("a batch goes out when its oldest file has waited for 5 s, though no other comes", async () => {
  const { clock, publisher, add, ends } = setUp();
  const stop = new AbortController();
  const running = publisher.run(stop.signal);
  await clock.advance(60_000);
  await add("a");
  await clock.advance(2000);
  await add("b");
  await clock.advance(2900);
  expect(ends).toEqual([]);
  await clock.advance(200);
  expect(ends).toEqual(["a", "b"]);
  await add("c");
  await clock.advance(4900);
  expect(ends).toEqual(["a", "b"]);
  await clock.advance(200);
  expect(ends).toEqual(["a", "b", "c"]);
  stop.abort(new Error("stop"));
  await running;
  expect(clock.sleeping).toBe(0);
});

test("while a sync takes its time, no more than one further batch gathers", async () => {
  const { clock, publisher, add, events } = setUp();
  const first = add("a", 256 * mib);
  await turn();
  expect(events).toEqual(["sync"]);
  const waiting = [add("b", 255 * mib), add("c", mib), add("d", mib)];
  const stays = await Promise.race([Promise.all(waiting.slice(1)).then(() => false), turn().then(() => true)]);
  expect(stays).toBe(true);
  await drive(clock, Promise.all([first, ...waiting]));
  expect(events.filter((event) => event.startsWith("publish"))).toEqual(["publish a", "publish b c d"]);
  expect(events.filter((event) => event === "sync")).toHaveLength(2);
  await publisher.flush();
  expect(events.filter((event) => event === "sync")).toHaveLength(2);
});

test("what is written of an object is saved after a sync that began after it was written", async () => {
  const { clock, publisher, unfinished, events } = setUp({ keepsAbove: 10 });
  const object = unfinished.handOut(entryOf("large", { sizeBytes: 9000 }));
  await publisher.flush();
  expect(events).toEqual([]);
  object?.extent({ start: 0, length: 4096, crc64: 1n });
  const flushing = publisher.flush();
  await turn();
  object?.extent({ start: 4096, length: 4904, crc64: 1n });
  await drive(clock, flushing);
  expect(events).toEqual(["sync", "synced", "save large"]);
  object?.copied(9000, "crc64");
  await drive(clock, publisher.flush());
  expect(events.slice(3)).toEqual(["sync", "synced", "save"]);
  await publisher.flush();
  expect(events).toHaveLength(6);
  expect(publisher.isEmpty).toBe(true);
});

test("the progress of a large object is saved in time, and soon when the object waits to start over", async () => {
  const { clock, publisher, unfinished, written, events } = setUp({ keepsAbove: 10 });
  const stop = new AbortController();
  const running = publisher.run(stop.signal);
  const entry = entryOf("large", { sizeBytes: 9000 });
  const object = unfinished.handOut(entry);
  object?.extent({ start: 0, length: 4096, crc64: 1n });
  written.bytes = 4096;
  await clock.advance(4900);
  expect(events).toEqual([]);
  await clock.advance(200);
  expect(events).toEqual(["sync", "synced", "save large"]);
  await clock.advance(60_000);
  expect(events).toHaveLength(3);
  if (!object) throw new Error("it is not tracked");
  const startingOver = unfinished.startOver(object, entry, never);
  await clock.advance(400);
  await startingOver;
  expect(events.slice(3)).toEqual(["sync", "synced", "save"]);
  stop.abort(new Error("stop"));
  await running;
});

test("an object that starts over waits until nothing on stable storage says that it has begun", async () => {
  const { clock, publisher, unfinished } = setUp({ keepsAbove: 10 });
  const entry = entryOf("large", { sizeBytes: 9000 });
  const object = unfinished.handOut(entry);
  if (!object) throw new Error("it is not tracked");
  object.extent({ start: 0, length: 4096, crc64: 1n });
  await drive(clock, publisher.flush());
  let may = false;
  const startingOver = unfinished.startOver(object, entry, never).then(() => {
    may = true;
  });
  await turn();
  expect([may, unfinished.urgent]).toEqual([false, true]);
  await drive(clock, publisher.flush());
  await startingOver;
  expect([may, unfinished.urgent]).toEqual([true, false]);
});

test("a file that cannot get its name fails alone", async () => {
  const occupied = new CopyError("occupied", "a directory is there");
  const { clock, publisher, add, ends } = setUp({ publishFails: (path) => (path === "b" ? occupied : undefined) });
  for (const path of ["a", "b", "c"]) await add(path);
  await drive(clock, publisher.flush());
  expect(ends).toEqual(["a", "b: a directory is there", "c"]);
});

test("a bug in publishing reaches everybody who has to know and ends the run", async () => {
  const { clock, publisher, add, ends } = setUp({ publishFails: () => new TypeError("bug") });
  await add("a");
  await expect(drive(clock, publisher.flush())).rejects.toThrow("bug");
  expect(ends).toEqual(["a: bug"]);
});

test("files that come while a batch is on its way wait for a sync of their own", async () => {
  const { clock, publisher, add, events, ends } = setUp();
  await add("a");
  const first = publisher.flush();
  await turn();
  await add("b");
  const second = publisher.flush();
  await drive(clock, Promise.all([first, second]));
  expect(events).toEqual(["sync", "synced", "publish a", "sync", "synced", "publish b"]);
  expect(ends).toEqual(["a", "b"]);
});

test("a failed sync is final: nothing gets a name, not even by a later sync that succeeds", async () => {
  let syncs = 0;
  const { clock, publisher, add, events, ends } = setUp({ syncFails: () => syncs++ === 0 });
  await add("a");
  const first = publisher.flush();
  await turn();
  await add("b");
  const second = publisher.flush();
  const results = await drive(clock, Promise.allSettled([first, second]));
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  await add("c");
  await expect(publisher.flush()).rejects.toThrow("sync failed");
  expect(events.filter((event) => event.startsWith("publish"))).toEqual([]);
  expect(ends).toEqual([]);
});

test("a listener that fails ends the run", async () => {
  const { clock, publisher } = setUp();
  await publisher.add(target("a", 1), () => {
    throw new TypeError("bug in a listener");
  });
  await expect(drive(clock, publisher.flush())).rejects.toThrow("bug in a listener");
});
