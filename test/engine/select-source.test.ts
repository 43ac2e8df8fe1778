import { expect, test } from "vitest";
import { type Selection, selectSource } from "../../src/engine/select-source.ts";
import { makeWorld, never } from "../support/engine-world.ts";
import { drive } from "../support/fake-clock.ts";
import { collect } from "../support/sources.ts";

interface Case {
  readonly name: string;
  readonly keys: readonly string[];
  readonly path: string;
  readonly kind: Selection["kind"];
  readonly prefix: string;
  readonly selected: readonly string[];
}

const directory = (name: string, keys: string[], path: string, prefix: string, selected: string[]): Case => {
  return { name, keys, path, kind: "directory", prefix, selected };
};
const object = (name: string, keys: string[], path: string, prefix: string): Case => {
  return { name, keys, path, kind: "object", prefix, selected: [path] };
};

const cases: readonly Case[] = [
  object("one object", ["data/model"], "data/model", "data/"),
  object("an object at the top", ["model"], "model", ""),
  object("an object beside longer names", ["data/model", "data/model-old/a", "data/model.bak"], "data/model", "data/"),
  directory("a directory", ["data/model/a", "data/model/b"], "data/model", "data/model/", [
    "data/model/a",
    "data/model/b",
  ]),
  directory(
    "a directory beside longer names",
    ["data/model-old/a", "data/model/a", "data/model0"],
    "data/model",
    "data/model/",
    ["data/model/a"],
  ),
  directory("a directory with a trailing slash, although the object exists", ["d", "d/a"], "d/", "d/", ["d/a"]),
  directory("a directory that is only a marker", ["d/"], "d", "d/", ["d/"]),
  directory("the whole bucket", ["a", "b/c"], "", "", ["a", "b/c"]),
];

test.each(cases)("a path selects $name", async ({ keys, path, kind, prefix, selected }) => {
  for (const pageKeys of [undefined, alternating(0, 1)]) {
    const world = makeWorld(pageKeys ? { pageKeys } : {});
    for (const key of keys) world.bucket.put(key, key.endsWith("/") ? "" : "x");
    const selection = await drive(world.clock, selectSource(path, false, world, never));
    expect(selection).toMatchObject({ kind, prefix });
    const pages = await drive(world.clock, collect(selection.pages(never)));
    expect(pages.flatMap(({ entries }) => entries.map(({ key }) => key))).toEqual(selected);
  }
});

function alternating(...lengths: readonly number[]): () => number {
  let i = 0;
  return () => lengths[i++ % lengths.length] ?? 0;
}

test.each([
  ["both an object and a directory", ["d", "d/a"], "d"],
  ["nothing", [], "d"],
  ["only longer names", ["data/model-old/a", "data/model.bak"], "data/model"],
  ["an object that is named with a slash", ["d"], "d/"],
  ["an empty bucket", [], ""],
])("%s is refused, and no request is left under way", async (_name, keys, path) => {
  const world = makeWorld({ pageKeys: () => 1 });
  for (const key of keys) world.bucket.put(key, "x");
  const selecting = drive(world.clock, selectSource(path, false, world, never));
  await expect(selecting).rejects.toMatchObject({ kind: "source" });
  expect(world.bucket.open).toBe(0);
});

test("both are named when a path is an object and a directory", async () => {
  const world = makeWorld();
  world.bucket.put("d", "x");
  world.bucket.put("d/a", "x");
  const selecting = drive(world.clock, selectSource("d", true, world, never));
  await expect(selecting).rejects.toThrow(/"d" is an object and "d\/" a directory/);
});

test.each(["d", "d/", ""])("nothing under %j is an empty directory when that is allowed", async (path) => {
  const world = makeWorld();
  const selection = await drive(world.clock, selectSource(path, true, world, never));
  expect(selection.kind).toBe("directory");
  const pages = await drive(world.clock, collect(selection.pages(never)));
  expect(pages.flatMap(({ entries }) => entries)).toEqual([]);
});

test("an object costs two requests of the listing", async () => {
  const world = makeWorld();
  world.bucket.put("d", "x");
  await drive(world.clock, selectSource("d", false, world, never));
  expect(world.bucket.requests.map(({ operation, key }) => `${operation} ${key}`)).toEqual(["list d", "list d/"]);
});

test("a selection that nobody reads has nothing under way", async () => {
  const world = makeWorld({ pageKeys: () => 1 });
  for (const key of ["d/a", "d/b", "d/c"]) world.bucket.put(key, "x");
  await drive(world.clock, selectSource("d/", false, world, never));
  await world.clock.advance(10_000);
  expect(world.bucket.requests).toHaveLength(1);
});
