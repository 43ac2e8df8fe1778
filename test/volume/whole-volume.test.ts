import { chmod, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { ListingComparison } from "../../src/volume/compare.ts";
import { finishDirectories } from "../../src/volume/finish-directories.ts";
import { beginAttempt } from "../../src/volume/owner-record.ts";
import { resolvePath } from "../../src/volume/path.ts";
import { startOver } from "../../src/volume/start-over.ts";
import { canMount, failure, inChild, isRoot, modifiedMs, mountMemory, run, temporaryDirectory } from "./support.ts";

const signal = new AbortController().signal;
const ours = { startedEmpty: true };

describe("starting over", () => {
  it("removes all but lost+found and the state, and follows no symlink", async () => {
    await using place = await temporaryDirectory();
    await using outside = await temporaryDirectory();
    await writeFile(`${outside.path}/kept`, "kept");
    await mkdir(`${place.path}/lost+found/inner`, { recursive: true });
    await beginAttempt(place.path, { fingerprint: "f", source: "s", startedEmpty: true, firstStartedAt: "2026-01-01" });
    await mkdir(`${place.path}/a/lost+found`, { recursive: true });
    for (let i = 0; i < 300; i++) await writeFile(`${place.path}/a/f${i}`, "");
    await symlink(outside.path, `${place.path}/a/link`);
    await symlink(outside.path, `${place.path}/link`);
    await run("mkfifo", [`${place.path}/a/fifo`]);
    await startOver(place.path, ours, signal);
    expect((await readdir(place.path)).sort()).toEqual([".oss-populator", "lost+found"]);
    expect(await readdir(`${place.path}/lost+found`)).toEqual(["inner"]);
    expect(await readdir(`${place.path}/.oss-populator`)).toEqual(["owner.json"]);
    expect(await readFile(`${outside.path}/kept`, "utf8")).toBe("kept");
  });

  it("removes nothing where foreign files may be", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/f`, "");
    await expect(startOver(place.path, { startedEmpty: false }, signal)).rejects.toThrow(RangeError);
    expect(await readdir(place.path)).toEqual(["f"]);
  });

  it.skipIf(!canMount)("stops at another filesystem", async () => {
    await using place = await temporaryDirectory();
    await using mounted = await mountMemory("tmpfs");
    await writeFile(`${mounted.path}/kept`, "kept");
    await mkdir(`${place.path}/a/mounted`, { recursive: true });
    await run("mount", ["--bind", mounted.path, `${place.path}/a/mounted`]);
    try {
      const error = await failure("volume", () => startOver(place.path, ours, signal));
      expect(error.message).toBe(`another filesystem is mounted at ${place.path}/a/mounted`);
      expect(await readdir(mounted.path)).toEqual(["kept"]);
    } finally {
      await run("umount", [`${place.path}/a/mounted`]);
    }
  });

  it("removes thousands of levels", async () => {
    await using place = await temporaryDirectory();
    const deep = "d/".repeat(1000);
    await mkdir(`${place.path}/${deep}`, { recursive: true });
    await startOver(place.path, ours, signal);
    expect(await readdir(place.path)).toEqual([]);
  });

  it("ends with the reason of its signal", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/f`, "");
    await expect(startOver(place.path, ours, AbortSignal.abort(new Error("stopped")))).rejects.toThrow("stopped");
    expect(await readdir(place.path)).toEqual(["f"]);
  });
});

describe("the comparison of a volume with a listing", () => {
  async function filled(path: string): Promise<void> {
    await mkdir(`${path}/a`);
    await mkdir(`${path}/lost+found`);
    for (const name of ["a/one", "a/two", "three"]) {
      await writeFile(`${path}/${name}`, name);
      await utimes(`${path}/${name}`, modifiedMs / 1000, modifiedMs / 1000);
    }
  }

  async function compared(path: string, listed: readonly (readonly [string, number, number])[]) {
    const comparison = new ListingComparison(path);
    for (const [key, sizeBytes, time] of listed) await comparison.check(resolvePath(key), sizeBytes, time);
    return comparison.finish(signal);
  }

  const all = [
    ["a/one", 5, modifiedMs],
    ["a/two", 5, modifiedMs],
    ["three", 5, modifiedMs],
  ] as const;

  it("is equal when every file has its size and time and there are no others", async () => {
    await using place = await temporaryDirectory();
    await filled(place.path);
    expect(await compared(place.path, all)).toEqual({ equal: true, differences: [] });
  });

  it("takes times to the second where the filesystem keeps no more", async () => {
    await using place = await temporaryDirectory();
    await filled(place.path);
    const fine = all.map(([key, sizeBytes, time]) => [key, sizeBytes, time + 250] as const);
    expect((await compared(place.path, fine)).equal).toBe(true);
  });

  it("names what is missing, different or additional", async () => {
    await using place = await temporaryDirectory();
    await filled(place.path);
    await symlink("three", `${place.path}/link`);
    const result = await compared(place.path, [
      ["a/one", 6, modifiedMs],
      ["a/two", 5, modifiedMs + 1000],
      ["a/four", 5, modifiedMs],
      ["three/below", 5, modifiedMs],
      ["link", 5, modifiedMs],
    ]);
    expect(result.equal).toBe(false);
    expect(result.differences).toEqual([
      "`a/one` has 5 bytes instead of 6",
      "`a/two` was modified at 2021-05-06T07:08:09.000Z instead of 2021-05-06T07:08:10.000Z",
      "`a/four` is missing",
      "`three/below` is missing",
      "`link` is not a regular file",
      "`three` is not in the listing",
    ]);
  });

  it("names ten differences at most", async () => {
    await using place = await temporaryDirectory();
    for (let i = 0; i < 30; i++) await writeFile(`${place.path}/f${i}`, "");
    const result = await compared(place.path, []);
    expect(result.equal).toBe(false);
    expect(result.differences).toHaveLength(10);
  });
});

describe("the last pass over directories", () => {
  const attributes = { fileMode: 0o644, dirMode: 0o750 };
  const pass = { attributes, chownRoot: false, resumed: false, fsync: false };

  it("leaves the root as it is unless asked", async () => {
    await using place = await temporaryDirectory();
    await finishDirectories({ ...pass, root: place.path, resumed: true }, signal);
    expect((await stat(place.path)).mode & 0o7777).toBe(0o700);
    await finishDirectories({ ...pass, root: place.path, chownRoot: true, fsync: true }, signal);
    expect((await stat(place.path)).mode & 0o7777).toBe(0o750);
  });

  it("after a resumed run mends directories, but not lost+found, the state, or what a symlink leads to", async () => {
    await using place = await temporaryDirectory();
    await using outside = await temporaryDirectory();
    for (const path of ["a/b", "lost+found", ".oss-populator/x"]) {
      await mkdir(`${place.path}/${path}`, { recursive: true, mode: 0o700 });
    }
    await symlink(outside.path, `${place.path}/link`);
    await finishDirectories({ ...pass, root: place.path, resumed: true }, signal);
    const modeOf = async (path: string) => (await stat(`${place.path}/${path}`)).mode & 0o7777;
    expect(await Promise.all(["a", "a/b", "lost+found", ".oss-populator/x", "link"].map(modeOf))).toEqual([
      0o750, 0o750, 0o700, 0o700, 0o700,
    ]);
  });

  it("leaves directories that were there before us", async () => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/theirs`, 0o700);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await mkdir(`${place.path}/theirs/ours`, 0o700);
    const { birthtimeMs } = await stat(`${place.path}/theirs/ours`);
    await finishDirectories({ ...pass, root: place.path, resumed: true, madeSinceMs: birthtimeMs }, signal);
    expect((await stat(`${place.path}/theirs`)).mode & 0o777).toBe(0o700);
    expect((await stat(`${place.path}/theirs/ours`)).mode & 0o777).toBe(0o750);
  });

  it.skipIf(!isRoot)("gives modes that would have kept us out, and a second run finds them done", async () => {
    await using place = await temporaryDirectory();
    await chmod(place.path, 0o777);
    const options = { root: place.path, placement: "direct", fileMode: 0o444, dirMode: 0o111, mtime: true };
    const job = { do: "write", options: { ...options, fsyncFiles: false, io: "direct" }, finish: true };
    const nobody = { uid: 4242, gid: 4242 };
    expect(await inChild({ ...job, paths: ["a/b/f", "a/g", "c/h"] }, nobody)).toEqual({ result: null });
    for (const path of ["a", "a/b", "c"]) expect((await stat(`${place.path}/${path}`)).mode & 0o777).toBe(0o111);
    expect((await stat(`${place.path}/a/b/f`)).mode & 0o777).toBe(0o444);
    expect(await inChild({ ...job, paths: [] }, nobody)).toEqual({ result: null });
  });
});
