import { expect, test } from "vitest";
import { type Comparison, compareAll } from "../../src/engine/compare-run.ts";
import { selectSource } from "../../src/engine/select-source.ts";
import { CopyError } from "../../src/errors.ts";
import { leftovers, makeWorld, never, nothingLeft, type World } from "../support/engine-world.ts";
import { drive } from "../support/fake-clock.ts";
import { simpleRules } from "../support/sources.ts";

class Seen implements Comparison {
  readonly files: string[] = [];
  different = false;
  readonly #onCheck: (path: string) => Promise<void>;

  constructor(onCheck: (path: string) => Promise<void> = async () => {}) {
    this.#onCheck = onCheck;
  }

  readonly missing = new Set<string>();

  async lacks(path: string): Promise<boolean> {
    return this.missing.has(path);
  }

  async check(path: string, sizeBytes: number, modifiedMs: number): Promise<void> {
    this.files.push(`${path} ${sizeBytes} ${modifiedMs}`);
    await this.#onCheck(path);
  }
}

interface Changes {
  readonly unsupported?: "fail" | "skip";
  readonly select?: (relative: string) => boolean;
  readonly signal?: AbortSignal;
}

function compare(world: World, comparison: Comparison, changes: Changes = {}) {
  const { unsupported = "fail", select = () => true, signal = never } = changes;
  const work = async () => {
    const selection = { ...(await selectSource("d/", true, world, signal)), select, sorted: true };
    return compareAll(selection, { ...world, rules: simpleRules, comparison, unsupported }, signal);
  };
  return drive(world.clock, work());
}

test("every selected file is shown with its path, size and time, and counts as skipped", async () => {
  const world = makeWorld({ pageKeys: () => 2 });
  for (const key of ["d/", "d/a", "d/b/", "d/b/c", "d/x"]) {
    world.bucket.put(key, key.endsWith("/") ? "" : "12345", { modifiedMs: 7000 });
  }
  const seen = new Seen();
  const { sourceDigest } = await compare(world, seen, { select: (relative) => relative !== "x" });
  expect(seen.files).toEqual(["a 5 7000", "b/c 5 7000"]);
  expect(world.ledger.counts).toMatchObject({
    listed: { objects: 4 },
    skipped: { objects: 4 },
    failed: { objects: 0 },
  });
  expect(sourceDigest).toMatch(/^[0-9a-f]{64}$/);
  expect(world.bucket.requests.every(({ operation }) => operation === "list")).toBe(true);
});

test("links are compared with what they lead to", async () => {
  const world = makeWorld();
  world.bucket.put("d/link", "what it leads to", { type: "Symlink", modifiedMs: 9000 });
  const seen = new Seen();
  await compare(world, seen);
  expect(seen.files).toEqual(["link 16 9000"]);
  expect(world.bucket.requests.map(({ operation }) => operation)).toContain("head");
});

test("a link that leads nowhere fails", async () => {
  const world = makeWorld({ faults: ({ operation }) => (operation === "head" ? { kind: "missing" } : undefined) });
  world.bucket.put("d/link", "x", { type: "Symlink" });
  await compare(world, new Seen());
  expect(world.ledger.failures).toMatchObject([{ key: "d/link", kind: "missing" }]);
});

test.each(["fail", "skip"] as const)("what cannot be a file is in no volume: %s", async (unsupported) => {
  const world = makeWorld();
  for (const key of ["d/a", "d/b/../c"]) world.bucket.put(key, "x");
  await compare(world, new Seen(), { unsupported });
  const { skipped, failed } = world.ledger.counts;
  expect([skipped.objects, failed.objects]).toEqual(unsupported === "fail" ? [1, 1] : [2, 0]);
});

test("an archived object without a file was left out, unless its bucket lets it be read", async () => {
  for (const readsArchive of [false, true]) {
    const world = makeWorld();
    for (const key of ["d/a", "d/b"]) world.bucket.put(key, "x", { storageClass: "Archive", modifiedMs: 7000 });
    world.source.readsArchive = readsArchive;
    const seen = new Seen();
    seen.missing.add("b");
    await compare(world, seen, { unsupported: "skip" });
    expect(seen.files).toEqual(readsArchive ? ["a 1 7000", "b 1 7000"] : ["a 1 7000"]);
    expect(world.ledger.counts.skipped.objects).toBe(2);
  }
});

test("the rest is not looked at after a difference, and no request is left", async () => {
  const world = makeWorld({ pageKeys: () => 1 });
  for (const key of ["d/a", "d/b", "d/c", "d/e", "d/f"]) world.bucket.put(key, "x");
  const seen: Seen = new Seen(async (path) => {
    seen.different = path === "b";
  });
  await compare(world, seen);
  expect(seen.files).toHaveLength(2);
  expect(leftovers(world)).toEqual(nothingLeft);
});

test("a target that cannot be read ends the run, after every look has ended", async () => {
  const world = makeWorld();
  for (const key of ["d/a", "d/b", "d/c"]) world.bucket.put(key, "x");
  let looking = 0;
  const seen = new Seen(async (path) => {
    looking++;
    await world.clock.sleep(path === "a" ? 1 : 100, never);
    looking--;
    if (path === "a") throw new CopyError("volume", "I/O error");
  });
  await expect(compare(world, seen)).rejects.toThrow("I/O error");
  expect(looking).toBe(0);
  expect(leftovers(world)).toEqual(nothingLeft);
});

test("an abort ends the comparison with the signal's reason", async () => {
  const world = makeWorld();
  for (const key of ["d/a", "d/b"]) world.bucket.put(key, "x");
  const stop = new AbortController();
  const seen = new Seen(async () => stop.abort(new Error("stop")));
  await expect(compare(world, seen, { signal: stop.signal })).rejects.toThrow("stop");
  expect(leftovers(world)).toEqual(nothingLeft);
});
