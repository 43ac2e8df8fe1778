import { chmod, chown, lstat, mkdir, readdir, readlink, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { DirectoryCache } from "../../src/volume/directories.ts";
import { resolvePath } from "../../src/volume/path.ts";
import { canMount, failure, inChild, isRoot, mountMemory, target, temporaryDirectory, writerAt } from "./support.ts";

describe("directories on the way to a file", () => {
  it.each([0, 1, 2, 3])("are never reached through a symlink at level %i", async (level) => {
    await using place = await temporaryDirectory();
    await using outside = await temporaryDirectory();
    const parents = ["a", "b", "c", "d"].slice(0, level);
    const link = [...parents, "link"].join("/");
    await mkdir(`${place.path}/${parents.join("/")}`, { recursive: true });
    await symlink(outside.path, `${place.path}/${link}`);
    using writer = writerAt(place.path);
    const error = await failure("occupied", () => writer.writeWhole(target(`${link}/x/file`), Buffer.from("x")));
    expect(error.message).toBe(`\`${link}\` is a symbolic link where key \`${link}/x/file\` needs a directory`);
    await failure("occupied", () => writer.makeDirectory(resolvePath(`${link}/x`)));
    await failure("occupied", () => writer.openFile(target(`${link}/file`)));
    expect(await writer.inspect([resolvePath(`${link}/file`)])).toEqual([undefined]);
    expect(await readdir(outside.path)).toEqual([]);
  });

  it("are not replaced where a foreign file stands", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/a`, "foreign");
    using writer = writerAt(place.path);
    const error = await failure("occupied", () => writer.writeWhole(target("a/b"), Buffer.from("x")));
    expect(error.message).toBe("`a` is a file where key `a/b` needs a directory");
  });

  it("are the key's own trouble where this run made a file of the same name", async () => {
    await using place = await temporaryDirectory();
    const runStartedCtimeMs = (await stat(place.path)).ctimeMs;
    using writer = writerAt(place.path, { runStartedCtimeMs });
    writer.writeWhole(target("a", 1), Buffer.from("x"));
    await failure("unsupported", () => writer.writeWhole(target("a/b"), Buffer.from("x")));
  });

  it("that exist already keep their mode", async () => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/a`, 0o700);
    using writer = writerAt(place.path, { dirMode: 0o755 });
    writer.makeDirectory(resolvePath("a/b"));
    expect((await stat(`${place.path}/a`)).mode & 0o7777).toBe(0o700);
    expect((await stat(`${place.path}/a/b`)).mode & 0o7777).toBe(0o755);
  });

  it("that were removed meanwhile are made again", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    writer.writeWhole(target("a/b/one", 1), Buffer.from("1"));
    await rm(`${place.path}/a`, { recursive: true });
    writer.writeWhole(target("a/b/two", 1), Buffer.from("2"));
    writer.makeDirectory(resolvePath("a/b/c/d"));
    await rm(`${place.path}/a`, { recursive: true });
    writer.makeDirectory(resolvePath("a/b/c/d/e"));
    expect(await readdir(`${place.path}/a/b/c/d`)).toEqual(["e"]);
  });

  it("that were moved and replaced by a symlink do not lead out", async () => {
    await using place = await temporaryDirectory();
    await using outside = await temporaryDirectory();
    using writer = writerAt(place.path);
    writer.writeWhole(target("a/one", 1), Buffer.from("1"));
    await rename(`${place.path}/a`, `${place.path}/moved`);
    await symlink(outside.path, `${place.path}/a`);
    writer.writeWhole(target("a/two", 1), Buffer.from("2"));
    expect(await readdir(outside.path)).toEqual([]);
  });
});

describe("attributes of directories", () => {
  it.each([0o000, 0o022, 0o077, 0o777])("do not depend on the umask %o", async (umask) => {
    await using place = await temporaryDirectory();
    const options = { root: place.path, placement: "direct", fileMode: 0o664, dirMode: 0o2775, mtime: true };
    await inChild({ umask, do: "write", options: { ...options, fsyncFiles: false, io: "direct" }, paths: ["a/b/f"] });
    expect((await stat(`${place.path}/a`)).mode & 0o7777).toBe(0o2775);
    expect((await stat(`${place.path}/a/b`)).mode & 0o7777).toBe(0o2775);
    expect((await stat(`${place.path}/a/b/f`)).mode & 0o7777).toBe(0o664);
  });

  it.skipIf(!isRoot)("include the owner", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { uid: 1234, gid: 4321 });
    writer.writeWhole(target("a/b/f", 1), Buffer.from("x"));
    for (const path of ["a", "a/b", "a/b/f"]) {
      expect(await stat(`${place.path}/${path}`)).toMatchObject({ uid: 1234, gid: 4321 });
    }
  });

  it.skipIf(!isRoot)("keep an inherited setgid bit when no group is given", async () => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/shared`);
    const { chown, chmod } = await import("node:fs/promises");
    await chown(`${place.path}/shared`, 0, 4321);
    await chmod(`${place.path}/shared`, 0o2775);
    using writer = writerAt(place.path);
    writer.makeDirectory(resolvePath("shared/a"));
    expect(await stat(`${place.path}/shared/a`)).toMatchObject({ gid: 4321, mode: 0o42755 });
  });
});

describe("a directory that a killed run has made and not finished", () => {
  it("gets its attributes from whoever comes upon it, and is as good as none until then", async () => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/a/b`, { recursive: true });
    for (const path of ["a/b", "a"]) await chmod(`${place.path}/${path}`, 0o1700);
    using other = writerAt(place.path, { placement: "staged", dirMode: 0o2775 });
    expect(await other.inspect([resolvePath("a")])).toEqual([undefined]);
    using writer = writerAt(place.path, { placement: "staged", dirMode: 0o2775 });
    writer.writeWhole(target("a/b/f", 1), Buffer.from("x"));
    for (const path of ["a", "a/b"]) expect((await stat(`${place.path}/${path}`)).mode & 0o7777).toBe(0o2775);
    expect(await other.inspect([resolvePath("a")])).toMatchObject([{ kind: "directory" }]);
  });

  it("is told by its very mode from all others, and only by writers that stage", async () => {
    await using place = await temporaryDirectory();
    for (const mode of [0o1777, 0o700, 0o1755]) {
      await mkdir(`${place.path}/${mode}`);
      await chmod(`${place.path}/${mode}`, mode);
    }
    await mkdir(`${place.path}/direct`);
    await chmod(`${place.path}/direct`, 0o1700);
    using staging = writerAt(place.path, { placement: "staged" });
    for (const mode of [0o1777, 0o700, 0o1755]) {
      staging.makeDirectory(resolvePath(`${mode}`));
      expect((await stat(`${place.path}/${mode}`)).mode & 0o7777).toBe(mode);
    }
    using direct = writerAt(place.path);
    direct.makeDirectory(resolvePath("direct"));
    expect((await stat(`${place.path}/direct`)).mode & 0o7777).toBe(0o1700);
  });

  it.skipIf(!isRoot)("of somebody else stays as it is", async () => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/a`);
    await chmod(`${place.path}/a`, 0o1700);
    await chown(`${place.path}/a`, 1234, 1234);
    using writer = writerAt(place.path, { placement: "staged" });
    writer.makeDirectory(resolvePath("a/b"));
    expect((await stat(`${place.path}/a`)).mode & 0o7777).toBe(0o1700);
  });
});

it("directories that several processes make at once get their attributes from all of them, and none fails", async () => {
  await using place = await temporaryDirectory();
  const options = { root: place.path, placement: "staged", fileMode: 0o664, dirMode: 0o2775, mtime: true };
  const depth = Array.from({ length: 30 }, (_, i) => `d${i}`).join("/");
  const writers = Array.from({ length: 4 }, (_, i) => {
    const job = { umask: 0o022, do: "write", options: { ...options, fsyncFiles: false, io: "direct" } };
    return inChild({
      ...job,
      paths: Array.from({ length: 20 }, (_, j) => `${j}/${depth}/file-${i}`),
      version: `v${i}`,
    });
  });
  expect(await Promise.all(writers)).toEqual(writers.map(() => ({ result: null })));
  for (const entry of await readdir(place.path, { recursive: true, withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    expect((await stat(`${entry.parentPath}/${entry.name}`)).mode & 0o7777).toBe(0o2775);
  }
});

describe("descriptors", () => {
  it("stay within the limit, however many directories there are", async () => {
    await using place = await temporaryDirectory();
    const settings = { attributes: { fileMode: 0o644, dirMode: 0o755 }, deferAttributes: false, limit: 8 };
    const cache = new DirectoryCache({ root: place.path, ...settings, madeHere: () => false, onChange: () => {} });
    using _closed = cache;
    for (let i = 0; i < 40; i++) cache.make(`d${i}/e/f`, "");
    expect(await descriptorsBelow(place.path)).toBe(9);
    cache.make("a/".repeat(60).slice(0, -1), "");
    expect(await descriptorsBelow(place.path)).toBe(9);
  });

  it("of retained directories survive eviction and are closed on release", async () => {
    await using place = await temporaryDirectory();
    const settings = { attributes: { fileMode: 0o644, dirMode: 0o755 }, deferAttributes: false, limit: 2 };
    const cache = new DirectoryCache({ root: place.path, ...settings, madeHere: () => false, onChange: () => {} });
    const kept = cache.make("kept", "");
    cache.retain(kept);
    for (let i = 0; i < 5; i++) cache.make(`d${i}`, "");
    await writeFile(`${kept.prefix}file`, "x");
    expect(await readdir(`${place.path}/kept`)).toEqual(["file"]);
    cache[Symbol.dispose]();
    expect(await descriptorsBelow(place.path)).toBe(1);
    cache.release(kept);
    expect(await descriptorsBelow(place.path)).toBe(0);
  });
});

it.skipIf(!canMount)("a full inode table is a full volume for directories too", async () => {
  await using place = await mountMemory("tmpfs", "size=1m,nr_inodes=4");
  using writer = writerAt(place.path);
  await failure("volume-full", () => writer.makeDirectory(resolvePath("a/b/c/d/e")));
});

it("a target that is a symlink is refused by the writer: it wants the real path", async () => {
  await using place = await temporaryDirectory();
  await using other = await temporaryDirectory();
  await symlink(place.path, `${other.path}/link`);
  await failure("volume", () => writerAt(`${other.path}/link`));
  expect((await lstat(place.path)).isDirectory()).toBe(true);
});

async function descriptorsBelow(path: string): Promise<number> {
  const links = await Promise.all(
    (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")),
  );
  return links.filter((link) => link === path || link.startsWith(`${path}/`)).length;
}
