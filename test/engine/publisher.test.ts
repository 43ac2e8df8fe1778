import { expect, test } from "vitest";
import { Publisher } from "../../src/engine/publisher.ts";
import { CopyError } from "../../src/errors.ts";
import type { DataPlane, FileTarget, SafePath } from "../../src/types.ts";
import { makeWorld, never } from "../support/engine-world.ts";
import { drive, turn } from "../support/fake-clock.ts";

const mib = 2 ** 20;

interface SetUp {
  readonly syncFails?: () => boolean;
  readonly publishFails?: (path: string) => Error | undefined;
}

function setUp({ syncFails = () => false, publishFails = () => undefined }: SetUp = {}) {
  const { clock, plane: memory } = makeWorld();
  const events: string[] = [];
  const plane: DataPlane = Object.assign(Object.create(memory) as DataPlane, {
    publish: async (targets: readonly FileTarget[]) => {
      events.push(`publish ${targets.map(({ path }) => path).join(" ")}`);
      await clock.sleep(1, never);
      return targets.map(({ path }) => publishFails(path));
    },
  });
  const sync = async (): Promise<void> => {
    events.push("sync");
    await clock.sleep(5, never);
    events.push("synced");
    if (syncFails()) throw new CopyError("volume", "sync failed");
  };
  const publisher = new Publisher({ plane, sync, clock });
  const ends: string[] = [];
  const add = (path: string, sizeBytes = 1): Promise<void> =>
    publisher.add(target(path, sizeBytes), (error) => {
      ends.push(error === undefined ? path : `${path}: ${error instanceof Error ? error.message : error}`);
    });
  return { clock, publisher, add, events, ends };
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

test("a batch goes out when its oldest file has waited for 5 s", async () => {
  const { clock, add, ends } = setUp();
  await clock.advance(60_000);
  await add("a");
  await clock.advance(4999);
  await add("b");
  expect(ends).toEqual([]);
  await clock.advance(1);
  await drive(clock, add("c"));
  expect(ends).toEqual(["a", "b", "c"]);
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
