import { expect, test } from "vitest";
import type { CopyTask } from "../../src/engine/plan.ts";
import { type FreeSpace, SpaceBudget } from "../../src/engine/space-budget.ts";
import type { ExistingFile, SafePath } from "../../src/types.ts";
import { entryOf } from "../support/sources.ts";

function task(path: string, sizeBytes = 0, kind: CopyTask["kind"] = "file"): CopyTask {
  const target = { path: path as SafePath, sizeBytes, modifiedMs: 0, version: "v" };
  return { kind, entry: entryOf(path, { sizeBytes }), target };
}

function budget(free: Partial<FreeSpace>): SpaceBudget {
  return new SpaceBudget({ freeBytes: 1e9, freeInodes: 1e9, blockBytes: 4096, ...free });
}

/** How many inodes the tasks need, by trial. */
function inodesOf(tasks: readonly (readonly [CopyTask, ExistingFile?])[]): number {
  for (let freeInodes = 0; ; freeInodes++) {
    const space = budget({ freeInodes });
    try {
      for (const [each, existing] of tasks) space.claim(each, existing);
      return freeInodes;
    } catch {
      // one more
    }
  }
}

test("files take whole blocks", () => {
  const space = budget({ freeBytes: 8192 });
  space.claim(task("a", 1), undefined);
  space.claim(task("b", 4096), undefined);
  space.claim(task("c", 0), undefined);
  expect(() => space.claim(task("d", 1), undefined)).toThrow("needs at least 12288 bytes, 8192 are available");
});

test("what is there already is not needed again", () => {
  const space = budget({ freeBytes: 4096 });
  space.claim(task("a", 8192), { kind: "file", sizeBytes: 5000, modifiedMs: 0 });
  space.claim(task("b", 4096), undefined);
});

test("a failure says that the volume is full", () => {
  expect(() => budget({ freeBytes: 0 }).claim(task("a", 1), undefined)).toThrow(
    expect.objectContaining({ kind: "volume-full" }),
  );
});

test("each file and each directory on the way takes one inode, once", () => {
  expect(inodesOf([[task("a")], [task("b")]])).toBe(2);
  expect(inodesOf([[task("a/b/1")], [task("a/b/2")], [task("a/c/1")], [task("d/1")]])).toBe(8);
  expect(inodesOf([[task("a", 0, "directory")], [task("a/b", 0, "directory")], [task("a/b/c")]])).toBe(3);
});

test("a file that exists takes no inode, and neither do its directories", () => {
  const existing = { kind: "file", sizeBytes: 1, modifiedMs: 0 } as const;
  expect(inodesOf([[task("a/b/1"), existing], [task("a/b/2")]])).toBe(1);
});

test("inodes do not count where the filesystem does not count them", () => {
  const space = new SpaceBudget({ freeBytes: 10, freeInodes: undefined, blockBytes: 1 });
  for (let i = 0; i < 100; i++) space.claim(task(`d${i}/a`), undefined);
});

test("where nothing will be written everything fits", () => {
  new SpaceBudget(undefined).claim(task("a", 1e18), undefined);
});
