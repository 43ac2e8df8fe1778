import { link, lstat, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type PruneOptions, pruneBeyond, removeStaleTemporaries } from "../../src/volume/prune.ts";
import { canMount, failure, mountExt4, mountMemory, run, temporaryDirectory } from "./support.ts";

const signal = new AbortController().signal;
const all = { keep: () => false, selected: () => true };

async function fill(root: string, files: Iterable<string>, directories: Iterable<string> = []): Promise<void> {
  for (const directory of directories) await mkdir(join(root, directory), { recursive: true });
  for (const file of files) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), file);
  }
}

/** Every path below the root, directories with a trailing slash. */
async function tree(root: string): Promise<Set<string>> {
  const found = new Set<string>();
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(root.length + 1);
    found.add(entry.isDirectory() ? `${path}/` : path);
  }
  return found;
}

function beyond(path: string, frontier: string | undefined): boolean {
  return frontier === undefined || Buffer.compare(Buffer.from(path), Buffer.from(frontier)) > 0;
}

/** What is to be left, by the definition: one path after the other, no streaming. */
function model(before: ReadonlySet<string>, { frontier, keep, selected }: PruneOptions): Set<string> {
  const left = [...before].filter(
    (path) => path.endsWith("/") || !beyond(path, frontier) || !selected(path) || keep(path),
  );
  // Children come before their parents: longest first.
  for (const path of left.filter((path) => path.endsWith("/")).sort((a, b) => b.length - a.length)) {
    const needed = !beyond(path, frontier) || frontier?.startsWith(path) || keep(path);
    const empty = !left.some((other) => other !== path && other.startsWith(path));
    if (!needed && empty) left.splice(left.indexOf(path), 1);
  }
  return new Set(left);
}

/** Bytes below and above the slash, and characters whose UTF-16 order is not that of their UTF-8. */
const segment = fc.constantFrom(
  "a",
  "a!",
  "a-b",
  "a.",
  "a0",
  "aa",
  "b",
  " ",
  "~",
  "é",
  "\ufb01",
  "\u{1f4be}",
  "\ud7ff",
);
const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));

describe("pruning", () => {
  it("leaves what a brute-force model leaves, whatever the tree, frontier, open list and selection", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          files: fc.uniqueArray(path, { maxLength: 25 }),
          directories: fc.array(path, { maxLength: 5 }),
          frontier: fc.option(
            fc.tuple(path, fc.constantFrom("", "/")).map((parts) => parts.join("")),
            { nil: undefined },
          ),
          kept: fc.array(fc.tuple(fc.nat(), fc.boolean()), { maxLength: 5 }),
          unselected: fc.option(segment, { nil: undefined }),
        }),
        async ({ files, directories, frontier, kept, unselected }) => {
          await using place = await temporaryDirectory();
          const isParent = (file: string) => [...files, ...directories].some((other) => other.startsWith(`${file}/`));
          const isBelowFile = (other: string) => files.some((file) => other.startsWith(`${file}/`) && !isParent(file));
          const made = files.filter((file) => !isParent(file) && !directories.includes(file) && !isBelowFile(file));
          await fill(place.path, made, directories);
          const before = await tree(place.path);
          const list = [...before];
          const open = new Set(kept.map(([at]) => list[at % Math.max(1, list.length)]));
          const options: PruneOptions = {
            frontier,
            keep: (path) => open.has(path),
            selected: (path) => unselected === undefined || !path.split("/").includes(unselected),
          };
          const expected = model(before, options);
          const pruned = await pruneBeyond(place.path, options, signal);
          const left = await tree(place.path);
          expect(left).toEqual(expected);
          expect(pruned.files + pruned.directories).toBe(before.size - left.size);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("goes by the bytes of whole keys, in which a slash has its place", async () => {
    await using place = await temporaryDirectory();
    await fill(place.path, ["a!/1", "a-b", "a/1", "a/2", "a0", "b"]);
    expect(await pruneBeyond(place.path, { ...all, frontier: "a/1" }, signal)).toEqual({ files: 3, directories: 0 });
    expect(await tree(place.path)).toEqual(new Set(["a!/", "a!/1", "a-b", "a/", "a/1"]));
  });

  it("takes everything but the state directory and lost+found when nothing was handed out", async () => {
    await using place = await temporaryDirectory();
    const ours = [".oss-populator/owner.json", "lost+found/found", ".oss-populator.probe-1"];
    await fill(place.path, [...ours, "a", "b/c/d", "b/.oss-populator/x", "b/lost+found/y"], ["e/f"]);
    expect(await pruneBeyond(place.path, { ...all, frontier: undefined }, signal)).toEqual({
      files: 4,
      directories: 6,
    });
    expect(await tree(place.path)).toEqual(new Set([".oss-populator/", "lost+found/", ...ours]));
  });

  it("does not enter directories before the frontier, and removes more files than fit one batch", async () => {
    await using place = await temporaryDirectory();
    const many = Array.from({ length: 1000 }, (_, i) => `m/${String(i).padStart(4, "0")}`);
    await fill(place.path, many);
    await mkdir(`${place.path}/before`);
    await symlink("nowhere", `${place.path}/before/link`);
    const asked: string[] = [];
    const selected = (path: string) => asked.push(path) > 0;
    await fill(place.path, ["before/z"]);
    const pruned = await pruneBeyond(place.path, { keep: () => false, selected, frontier: "m/0499" }, signal);
    expect(pruned).toEqual({ files: 500, directories: 0 });
    expect((await readdir(`${place.path}/m`)).sort()).toEqual(many.slice(0, 500).map((path) => path.slice(2)));
    expect(asked.filter((path) => path.startsWith("before"))).toEqual([]);
  });

  it("follows no symlink and removes none, nor anything else that no run of ours makes", async () => {
    await using place = await temporaryDirectory();
    await using elsewhere = await temporaryDirectory();
    await fill(elsewhere.path, ["precious", "directory/precious"]);
    await fill(place.path, ["x/y"]);
    await symlink(elsewhere.path, `${place.path}/x/link`);
    await symlink(`${elsewhere.path}/precious`, `${place.path}/x/file-link`);
    await run("mkfifo", [`${place.path}/x/fifo`]);
    expect(await pruneBeyond(place.path, { ...all, frontier: undefined }, signal)).toEqual({
      files: 1,
      directories: 0,
    });
    expect((await readdir(`${place.path}/x`)).sort()).toEqual(["fifo", "file-link", "link"]);
    expect(await tree(elsewhere.path)).toEqual(new Set(["precious", "directory/", "directory/precious"]));
  });

  it.skipIf(!canMount)("stops at another filesystem", async () => {
    await using place = await temporaryDirectory();
    await using mounted = await mountMemory("tmpfs");
    await fill(mounted.path, ["precious"]);
    await mkdir(`${place.path}/mnt`);
    await run("mount", ["--bind", mounted.path, `${place.path}/mnt`]);
    try {
      await failure("volume", () => pruneBeyond(place.path, { ...all, frontier: undefined }, signal));
      expect(await readdir(`${place.path}/mnt`)).toEqual(["precious"]);
    } finally {
      await run("umount", [`${place.path}/mnt`]);
    }
  });

  it.skipIf(!canMount)(
    "tells of a file that it could not remove after all that it was looking at meanwhile",
    async () => {
      await using place = await mountExt4(8);
      const stuck = Array.from({ length: 40 }, (_, i) => `stuck-${i}`);
      const below = Array.from({ length: 40 }, (_, i) => `d${i}/file`);
      await fill(place.path, [...stuck, ...below]);
      await run("chattr", ["+i", ...stuck.map((name) => join(place.path, name))]);
      const error = await failure("volume", () => pruneBeyond(place.path, { ...all, frontier: undefined }, signal));
      expect(error.message).toMatch(/^cannot remove .*stuck-\d+/);
    },
  );

  it("ends at a signal with its reason", async () => {
    await using place = await temporaryDirectory();
    await fill(place.path, ["a"]);
    const reason = new Error("stopped");
    await expect(pruneBeyond(place.path, { ...all, frontier: undefined }, AbortSignal.abort(reason))).rejects.toBe(
      reason,
    );
    expect(await readdir(place.path)).toEqual(["a"]);
  });
});

describe("stale temporary files", () => {
  it("go where their version is nobody's any more, and nothing else does", async () => {
    await using place = await temporaryDirectory();
    await using elsewhere = await temporaryDirectory();
    const stale = ["", "a/", "a/b/"].map((directory) => `${directory}.oss-populator.old-1.tmp`);
    const others = [
      "file",
      "a/.oss-populator.wanted.tmp",
      "a/.oss-populator.old-1.tmp.bak",
      "a/.oss-populator.old 1.tmp",
      "a/.oss-populator..tmp",
      "a/old-1.tmp",
      ".oss-populator.probe-1",
      ".oss-populator/.oss-populator.old-2.tmp",
      "lost+found/.oss-populator.old-2.tmp",
      "target/.oss-populator/copy-1",
      "target/.oss-populator.old-2.tmp",
    ];
    await fill(place.path, [...stale, ...others]);
    await link(`${place.path}/file`, `${place.path}/.oss-populator.old-3.tmp`);
    await symlink(`${place.path}/file`, `${place.path}/.oss-populator.old-4.tmp`);
    await mkdir(`${place.path}/.oss-populator.old-5.tmp`);
    await fill(elsewhere.path, [".oss-populator.old-6.tmp"]);
    await symlink(elsewhere.path, `${place.path}/link`);
    const isOurs = (version: string) => version.startsWith("old");
    expect(await removeStaleTemporaries(place.path, isOurs, signal)).toBe(stale.length);
    const left = await tree(place.path);
    expect(stale.filter((path) => left.has(path))).toEqual([]);
    for (const path of others) expect(await readFile(join(place.path, path), "utf8")).toBe(path);
    for (const number of [3, 4, 5]) await lstat(`${place.path}/.oss-populator.old-${number}.tmp`);
    expect(await readdir(elsewhere.path)).toEqual([".oss-populator.old-6.tmp"]);
  });
});
