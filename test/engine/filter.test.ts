import { expect, test } from "vitest";
import { createFilter } from "../../src/engine/filter.ts";

test.each([
  // pattern, path, selected
  ["*.txt", "a.txt", true],
  ["*.txt", "deep/below/a.txt", true],
  ["*.txt", "a.txt.gz", false],
  ["*.txt", ".hidden.txt", true],
  ["/*.txt", "a.txt", true],
  ["/*.txt", "deep/a.txt", false],
  ["a/*.txt", "a/x.txt", true],
  ["a/*.txt", "a/b/x.txt", false],
  ["a/*.txt", "b/a/x.txt", false],
  ["a/**", "a/b/c", true],
  ["a/**", "ab/c", false],
  ["a/**/c", "a/c", true],
  ["a/**/c", "a/b/b/c", true],
  ["**/c", "c", true],
  ["**", "a/.b/c", true],
  ["a/", "a/", true],
  ["a/", "a/b/c", true],
  ["a/", "b/a/c", false],
  ["a/**", "a/", true],
  ["a", "x/a/", true],
  ["{a,b}.txt", "b.txt", true],
  ["[ab].txt", "c.txt", false],
  ["?.txt", "é.txt", true],
  ["A.txt", "a.txt", false],
  ["*", "a\nb", true],
  ["**", "a\nb/c", true],
  ["a/**", "a/x\ny", true],
  ["a\\*b", "a*b", true],
  ["a\\*b", "axb", false],
  ["*", "a\\b", true],
])("the pattern %j and the path %j: %s", (pattern, path, selected) => {
  expect(createFilter([pattern], [])(path)).toBe(selected);
  expect(createFilter([], [pattern])(path)).toBe(!selected);
});

test("without patterns everything is selected", () => {
  expect(createFilter([], [])("any/thing")).toBe(true);
});

test("one include suffices, and any exclude wins over all includes", () => {
  const select = createFilter(["*.txt", "*.md"], ["secret/**", "*.tmp.txt"]);
  expect(["a.txt", "b.md", "c.png", "secret/a.txt", "a.tmp.txt"].filter(select)).toEqual(["a.txt", "b.md"]);
});

test("a lone slash is the directory itself: everything below it", () => {
  expect(createFilter(["/"], [])("a/b")).toBe(true);
  expect(createFilter([], ["/"])("a/b")).toBe(false);
});
