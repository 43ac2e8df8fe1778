import fc from "fast-check";
import { expect, test } from "vitest";
import { compareKeys } from "../../src/engine/key-order.ts";
import { Planner } from "../../src/engine/plan.ts";
import { CopyError } from "../../src/errors.ts";
import type { ObjectEntry } from "../../src/types.ts";
import { entryOf, simpleRules } from "../support/sources.ts";

function planAll(prefix: string, entries: readonly ObjectEntry[], sorted = true) {
  const planner = new Planner(prefix, simpleRules, sorted);
  return entries.map((entry) => planner.plan(entry));
}

function planOne(key: string, changes: Partial<ObjectEntry> = {}, prefix = "") {
  return planAll(prefix, [entryOf(key, changes)])[0];
}

test("an object becomes a file at the path that is left after the directory, with its size, time and version", () => {
  const planned = planOne("data/a/b.txt", { sizeBytes: 7, modifiedMs: 5, etag: '"e"' }, "data/");
  expect(planned).toMatchObject({
    status: "task",
    task: { kind: "file", target: { path: "a/b.txt", sizeBytes: 7, modifiedMs: 5, version: "e" } },
  });
});

test("an empty object whose key ends with a slash becomes a directory", () => {
  expect(planOne("a/", { sizeBytes: 0 })).toMatchObject({
    status: "task",
    task: { kind: "directory", target: { path: "a" } },
  });
});

test.each([
  ["the marker of the directory itself", "data/", "data/"],
  ["the marker of the filesystem's own directory", "lost+found/", ""],
  ["the same below a prefix", "data/lost+found/", "data/"],
])("%s stands for nothing", (_name, key, prefix) => {
  expect(planOne(key, { sizeBytes: 0 }, prefix)?.status).toBe("nothing");
});

test.each([
  ["a marker with content", "a/", { sizeBytes: 1 }, "1 bytes of content"],
  ["the directory's own marker with content", "data/", { sizeBytes: 3 }, "3 bytes of content"],
  ["the marker lost+found/ with content", "lost+found/", { sizeBytes: 2 }, "2 bytes of content"],
  ["a key that is no path", "a/../b", {}, "cannot be a path"],
  ["a marker that is no path", "a/../", { sizeBytes: 0 }, "cannot be a path"],
  ["an archived object", "a", { storageClass: "ColdArchive" }, "must be restored"],
  ["a deeply archived object", "a", { storageClass: "DeepColdArchive" }, "must be restored"],
])("%s is refused", (_name, key, changes, message) => {
  const planned = planOne(key, changes, key === "data/" ? "data/" : "");
  expect(planned).toMatchObject({ status: "refused", error: { kind: "unsupported" } });
  expect(planned?.status === "refused" && planned.error.message).toMatch(new RegExp(message));
});

test.each([
  ["restored", { storageClass: "ColdArchive", restored: true }],
  ["of a class that may be readable directly", { storageClass: "Archive" }],
])("an archived object that is %s is planned", (_name, changes) => {
  expect(planOne("a", changes)?.status).toBe("task");
});

test("a failure of the rules that is no refusal is not caught", () => {
  const volume = {
    ...simpleRules,
    resolveFile: () => {
      throw new CopyError("volume", "broken");
    },
  };
  expect(() => new Planner("", volume, true).plan(entryOf("a"))).toThrow("broken");
});

/** Quadratic and obvious: a key is in conflict when an accepted file is one of its directories. */
function conflicts(keys: readonly string[]): boolean[] {
  return keys.map((key) => keys.some((file) => !file.endsWith("/") && key.startsWith(`${file}/`)));
}

test("exactly the keys that need a directory where another key is a file are refused", () => {
  const segment = fc.constantFrom("a", "b", "a-", "a.b", "aa", "ab", "a0", "é", "\u{1f600}", "\ufffd");
  const key = fc
    .tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([segments, marker]) => segments.join("/") + (marker ? "/" : ""));
  fc.assert(
    fc.property(fc.uniqueArray(key, { maxLength: 40 }), (keys) => {
      const sorted = keys.toSorted(compareKeys);
      const planned = planAll(
        "",
        sorted.map((each) => entryOf(each, { sizeBytes: 0 })),
      );
      expect(planned.map(({ status }) => status === "refused")).toEqual(conflicts(sorted));
    }),
    { numRuns: 500 },
  );
});

test("a refused key does not take part in conflicts", () => {
  const entries = [entryOf("a", { storageClass: "ColdArchive" }), entryOf("a/b")];
  expect(planAll("", entries).map(({ status }) => status)).toEqual(["refused", "task"]);
});

test("keys that come in no order are left to the volume", () => {
  const planned = planAll("", [entryOf("a/b"), entryOf("a"), entryOf("a/c")], false);
  expect(planned.map(({ status }) => status)).toEqual(["task", "task", "task"]);
});
