import { expect, test } from "vitest";
import { pagesOfKeys } from "../../src/engine/listed-keys.ts";
import { makeWorld, never, type World } from "../support/engine-world.ts";
import { drive, turn } from "../support/fake-clock.ts";
import { collect } from "../support/sources.ts";

async function* lines(...keys: readonly string[]): AsyncGenerator<string> {
  yield* keys;
}

function pagesOf(world: World, keys: AsyncIterable<string>, signal: AbortSignal = never, share = (_: string) => true) {
  return pagesOfKeys(keys, "d/", { ...world, concurrency: 4, share }, signal);
}

test("each key becomes an entry as the service tells of it, in the order of the list", async () => {
  const world = makeWorld();
  for (const key of ["d/b", "d/a", "d/sub/c"]) world.bucket.put(key, key, { type: "Symlink" });
  const [page] = await drive(world.clock, collect(pagesOf(world, lines("b", "", "a", "sub/c"))));
  expect(page?.entries).toMatchObject(
    ["d/b", "d/a", "d/sub/c"].map((key) => ({ ...world.bucket.entry(key), type: "Normal" })),
  );
});

test("a key that does not exist fails as an object of its own, and the others come", async () => {
  const world = makeWorld();
  world.bucket.put("d/a", "x");
  const [page] = await drive(world.clock, collect(pagesOf(world, lines("a", "gone"))));
  expect(page?.entries.map(({ key }) => key)).toEqual(["d/a"]);
  expect(world.ledger.failures).toMatchObject([{ key: "d/gone", kind: "missing" }]);
  expect(world.ledger.counts.listed.objects).toBe(1);
});

test("keys of other shards are not looked up", async () => {
  const world = makeWorld();
  for (const key of ["d/a", "d/b"]) world.bucket.put(key, "x");
  const pages = pagesOf(world, lines("a", "b", "gone"), never, (key) => key === "d/b");
  const [page] = await drive(world.clock, collect(pages));
  expect(page?.entries.map(({ key }) => key)).toEqual(["d/b"]);
  expect(world.bucket.requests.map(({ key }) => key)).toEqual(["d/b"]);
  expect(world.ledger.failures).toEqual([]);
});

test("a long list comes in pages of a thousand, and only as they are asked for", async () => {
  const world = makeWorld();
  let read = 0;
  async function* many(): AsyncGenerator<string> {
    for (; read < 2500; read++) yield `k${read}`;
  }
  for (let i = 0; i < 2500; i++) world.bucket.put(`d/k${i}`, "");
  const pages = pagesOf(world, many());
  const first = await drive(world.clock, pages.next());
  expect(first.value?.entries).toHaveLength(1000);
  expect(read).toBeLessThanOrEqual(1000);
  expect(world.bucket.mostOpen).toBeLessThanOrEqual(4);
  const rest = await drive(world.clock, collect(pages));
  expect(rest.map(({ entries }) => entries.length)).toEqual([1000, 500]);
});

test("a refusal of the whole run ends the look-ups, and waits for those under way", async () => {
  const world = makeWorld({ faults: ({ index }) => (index === 5 ? { kind: "auth" } : undefined) });
  for (let i = 0; i < 100; i++) world.bucket.put(`d/k${i}`, "");
  const keys = lines(...Array.from({ length: 100 }, (_, i) => `k${i}`));
  await expect(drive(world.clock, collect(pagesOf(world, keys)))).rejects.toMatchObject({ kind: "auth" });
  expect(world.bucket.open).toBe(0);
  expect(world.bucket.requests.length).toBeLessThan(20);
});

test("an abort ends the look-ups with the signal's reason", async () => {
  const world = makeWorld();
  const stop = new AbortController();
  const keys = lines(...Array.from({ length: 100 }, (_, i) => `k${i}`));
  const reading = collect(pagesOf(world, keys, stop.signal));
  await turn();
  stop.abort(new Error("stop"));
  await expect(reading).rejects.toThrow("stop");
  expect(world.bucket.open).toBe(0);
});

test("an abort does not wait for somebody who types keys slowly", async () => {
  const world = makeWorld();
  const stop = new AbortController();
  async function* slow(): AsyncGenerator<string> {
    yield "a";
    await new Promise(() => {});
  }
  const reading = collect(pagesOf(world, slow(), stop.signal));
  await turn();
  stop.abort(new Error("stop"));
  await expect(reading).rejects.toThrow("stop");
});

test("a list that cannot be read fails with its error", async () => {
  const world = makeWorld();
  async function* broken(): AsyncGenerator<string> {
    yield "a";
    throw new Error("no such file");
  }
  await expect(drive(world.clock, collect(pagesOf(world, broken())))).rejects.toThrow("no such file");
});
