import { resolve, sep } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CopyError } from "../../src/errors.ts";
import { directoryMarkerPath, resolvePath, splitPath, temporaryName } from "../../src/volume/path.ts";

const refused: readonly (readonly [why: string, key: string])[] = [
  ["is empty", ""],
  ["begins with a slash", "/etc/passwd"],
  ["ends with a slash", "a/"],
  ["has an empty segment", "a//b"],
  ["has a segment .", "a/./b"],
  ["is .", "."],
  ["has a segment ..", "a/../b"],
  ["begins with ..", "../b"],
  ["contains NUL", "a\0b"],
  ["has a segment of 256 bytes", "a".repeat(256)],
  ["has a segment of 256 bytes in UTF-8 and fewer characters", "é".repeat(128)],
  ["is longer than 4,096 bytes", `${"a".repeat(200)}/`.repeat(20) + "b".repeat(77)],
  ["is in lost+found", "lost+found/a"],
  ["is lost+found", "lost+found"],
  ["is in our state directory", ".oss-populator/owner.json"],
  ["is in our state directory for a case-insensitive filesystem", ".OSS-Populator/owner.json"],
  ["looks like our temporary files", "a/.oss-populator.abc.tmp"],
  ["has half of a surrogate pair", "a\ud800b"],
];

const accepted: readonly string[] = [
  "a",
  "a/b/c",
  "...",
  "a/lost+found",
  "lost+found2/a",
  "a/.oss-populator/b",
  ".oss-populator-data/b",
  "a\\b\n\t\x01",
  " leading and trailing ",
  "😀".repeat(63),
  "é".repeat(127),
  "a".repeat(255),
  `${"a".repeat(200)}/`.repeat(20) + "b".repeat(76),
];

describe("the path of a key", () => {
  it.each(refused)("is refused if it %s", (_why, key) => {
    try {
      resolvePath(key);
    } catch (error) {
      expect(error).toBeInstanceOf(CopyError);
      expect(error).toMatchObject({ kind: "unsupported", message: expect.stringContaining(JSON.stringify(key)) });
      return;
    }
    throw new Error("accepted");
  });

  it.each(accepted)("is the key itself: %j", (key) => {
    expect(resolvePath(key)).toBe(key);
  });

  it("never leaves the root", () => {
    const segment = fc.oneof(fc.constantFrom(".", "..", "", "a", "\0", "lost+found", ".oss-populator"), fc.string());
    const key = fc.array(segment, { maxLength: 6 }).map((segments) => segments.join("/"));
    fc.assert(
      fc.property(key, (text) => {
        const path = pathOrUndefined(text);
        if (path === undefined) return;
        expect(resolve("/root", path)).toBe(`/root${sep}${path}`);
        expect(path.split("/")[0]).not.toBe("lost+found");
        expect(path).not.toContain("\0");
      }),
      { numRuns: 2000 },
    );
  });
});

describe("a directory marker", () => {
  it("names the directory without its slash", () => {
    expect(directoryMarkerPath("a/b/")).toBe("a/b");
  });

  it("is refused with its own key in the message", () => {
    expect(() => directoryMarkerPath("a//")).toThrow(/key "a\/\/" cannot be/);
    expect(() => directoryMarkerPath("/")).toThrow(CopyError);
  });
});

it("a path is split into directory and name", () => {
  expect(splitPath(resolvePath("a/b/c"))).toEqual(["a/b", "c"]);
  expect(splitPath(resolvePath("c"))).toEqual(["", "c"]);
});

it("a temporary name takes no version that could be a path", () => {
  expect(temporaryName("0a-Z_9")).toBe(".oss-populator.0a-Z_9.tmp");
  for (const version of ["", "a/b", "..", "a\0", "x".repeat(129)]) {
    expect(() => temporaryName(version)).toThrow(RangeError);
  }
});

function pathOrUndefined(key: string): string | undefined {
  try {
    return resolvePath(key);
  } catch {
    return undefined;
  }
}
