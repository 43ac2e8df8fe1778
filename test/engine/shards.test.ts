import { expect, test } from "vitest";
import { createShare } from "../../src/engine/share.ts";
import { expectCopied, fill, objects } from "../support/copied.ts";
import { copyWorld, makeWorld, type World } from "../support/engine-world.ts";

const count = 5;

/** What each shard of a copy makes of the same source. */
async function copyShards(sizes: Readonly<Record<string, number>>): Promise<{ world: World; digest: string }[]> {
  const runs = Array.from({ length: count }, async (_, index) => {
    const world = fill(makeWorld({ pageKeys: () => 3 }), sizes);
    const { sourceDigest } = await copyWorld(world, { options: { share: createShare({ index, count }) } });
    return { world, digest: sourceDigest };
  });
  return Promise.all(runs);
}

test("shards copy every object once between them, and each counts its own only", async () => {
  const sizes = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`dir/${i}`, i * 3]));
  const runs = await copyShards(sizes);
  const copied = runs.flatMap(({ world }) => [...world.plane.volume.files.keys()]);
  expect(copied.toSorted()).toEqual(Object.keys(sizes).toSorted());
  for (const { world } of runs) {
    expectCopied(world, [...world.plane.volume.files.keys()]);
    const own = world.plane.volume.files.size;
    expect(objects(world)).toEqual({ listed: own, copied: own, skipped: 0, failed: 0 });
    expect(world.bucket.requests.filter(({ operation }) => operation === "get").length).toBeGreaterThanOrEqual(own);
  }
});

test("the digest is that of the whole selection, the same in every shard and without shards", async () => {
  const sizes = { a: 1, b: 2, "c/d": 3 };
  const { sourceDigest } = await copyWorld(fill(makeWorld(), sizes));
  for (const { digest } of await copyShards(sizes)) expect(digest).toBe(sourceDigest);
});

test("links of other shards are not looked up", async () => {
  const world = makeWorld();
  for (const key of ["link", "other"]) world.bucket.put(key, key, { type: "Symlink" });
  await copyWorld(world, { options: { share: (key) => key === "link" } });
  expectCopied(world, ["link"]);
  expect(world.bucket.requests.filter(({ operation }) => operation === "head").map(({ key }) => key)).toEqual(["link"]);
});

test("a key below another shard's file is refused in its own shard, whichever comes first", async () => {
  const sizes = Object.fromEntries(["a", ...Array.from({ length: 9 }, (_, i) => `a/${i}`)].map((key) => [key, 1]));
  const runs = await copyShards(sizes);
  expect(runs.flatMap(({ world }) => [...world.plane.volume.files.keys()])).toEqual(["a"]);
  const failures = runs.flatMap(({ world }) => world.ledger.failures);
  expect(failures).toHaveLength(9);
  for (const { kind, message } of failures) {
    expect(kind).toBe("unsupported");
    expect(message).toContain('needs a directory where object "a" is a file');
  }
});

test("a share without objects is a success", async () => {
  const world = fill(makeWorld(), { a: 1 });
  await copyWorld(world, { options: { share: () => false } });
  expect(objects(world)).toEqual({ listed: 0, copied: 0, skipped: 0, failed: 0 });
  expect(world.ledger.listingComplete).toBe(true);
});
