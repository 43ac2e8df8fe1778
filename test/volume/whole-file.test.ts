import { link, lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import type { FileTarget } from "../../src/types.ts";
import type { VolumeWriter } from "../../src/volume/volume-writer.ts";
import {
  canMount,
  failure,
  inChild,
  isRoot,
  modifiedMs,
  mountExt4,
  mountMemory,
  run,
  socketAt,
  target,
  temporaryDirectory,
  writerAt,
} from "./support.ts";

type Write = (writer: VolumeWriter, target: FileTarget, bytes: Uint8Array) => Promise<void>;

const ways: readonly (readonly [string, Write])[] = [
  ["in one go", async (writer, to, bytes) => writer.writeWhole(to, bytes)],
  ["in the thread pool", (writer, to, bytes) => writer.writeWholePooled(to, bytes)],
];

describe.each(ways)("a small file written %s", (_name, write) => {
  it.each([0, 1, 4095, 4096, 65_537])("of %i bytes has its content, mode and time", async (sizeBytes) => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { fileMode: 0o640 });
    const bytes = Buffer.alloc(sizeBytes, "abc");
    await write(writer, target("a/f", sizeBytes), bytes);
    expect(await readFile(`${place.path}/a/f`)).toEqual(bytes);
    expect(await stat(`${place.path}/a/f`)).toMatchObject({ mode: 0o100640, mtimeMs: modifiedMs, size: sizeBytes });
    expect(await readdir(`${place.path}/a`)).toEqual(["f"]);
  });

  it("keeps the time of writing when none is wanted", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { mtime: false });
    await write(writer, target("f", 1), Buffer.from("x"));
    expect((await stat(`${place.path}/f`)).mtimeMs).toBeGreaterThan(modifiedMs);
  });

  it("is never written to a file that is there already, nor through its hard links", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/original`, "foreign");
    await link(`${place.path}/original`, `${place.path}/f`);
    using writer = writerAt(place.path);
    const error = await failure("occupied", () => write(writer, target("f", 1), Buffer.from("x")));
    expect(error.message).toBe(`a file is already at ${place.path}/f`);
    expect(await readFile(`${place.path}/original`, "utf8")).toBe("foreign");
  });

  it("is never written through a symlink, dangling or not", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/original`, "foreign");
    await symlink("original", `${place.path}/f`);
    await symlink("nothing", `${place.path}/g`);
    using writer = writerAt(place.path);
    await failure("occupied", () => write(writer, target("f", 1), Buffer.from("x")));
    await failure("occupied", () => write(writer, target("g", 1), Buffer.from("x")));
    expect(await readFile(`${place.path}/original`, "utf8")).toBe("foreign");
    expect((await readdir(place.path)).sort()).toEqual(["f", "g", "original"]);
  });

  it("does not open a FIFO, a socket or a directory", async () => {
    await using place = await temporaryDirectory();
    await run("mkfifo", [`${place.path}/fifo`]);
    await using _socket = await socketAt(`${place.path}/socket`);
    await mkdir(`${place.path}/directory`);
    using writer = writerAt(place.path);
    for (const name of ["fifo", "socket", "directory"]) {
      const error = await failure("occupied", () => write(writer, target(name, 1), Buffer.from("x")));
      expect(error.message.toLowerCase()).toContain(name);
    }
    expect((await lstat(`${place.path}/fifo`)).isFIFO()).toBe(true);
  });

  it("is the object's own failure where this run has already made the name", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { runStartedCtimeMs: (await stat(place.path)).ctimeMs });
    await write(writer, target("f", 1), Buffer.from("x"));
    await failure("unsupported", () => write(writer, target("f", 1), Buffer.from("y")));
    expect(await readFile(`${place.path}/f`, "utf8")).toBe("x");
  });

  it("in staging replaces only a stale temporary file of ours", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { placement: "staged" });
    const temporary = `${place.path}/.oss-populator.v1.tmp`;
    await writeFile(temporary, "stale and longer");
    await write(writer, target("f", 1), Buffer.from("x"));
    expect(await readFile(temporary, "utf8")).toBe("x");
    expect(await readdir(place.path)).toEqual([".oss-populator.v1.tmp"]);

    await link(temporary, `${place.path}/other`);
    await failure("occupied", () => write(writer, target("f", 1), Buffer.from("y")));
    expect(await readFile(`${place.path}/other`, "utf8")).toBe("x");
  });

  it("in staging leaves a temporary file alone that another key of this run has made", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { placement: "staged", runStartedCtimeMs: 0 });
    writer.writeWhole(target("a", 3), Buffer.from("one"));
    await failure("unsupported", () => writer.writeWhole(target("a", 3), Buffer.from("two")));
    expect(await readFile(`${place.path}/.oss-populator.v1.tmp`, "utf8")).toBe("one");
  });

  it("in staging does not follow a symlink at its temporary name", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/original`, "foreign");
    await symlink("original", `${place.path}/.oss-populator.v1.tmp`);
    using writer = writerAt(place.path, { placement: "staged" });
    await failure("occupied", () => write(writer, target("f", 1), Buffer.from("x")));
    expect(await readFile(`${place.path}/original`, "utf8")).toBe("foreign");
  });

  it.skipIf(!canMount)("in staging fails as the target does that keeps a stale temporary file", async () => {
    await using place = await mountExt4(4);
    const temporary = `${place.path}/.oss-populator.v1.tmp`;
    await writeFile(temporary, "stale");
    await run("chattr", ["+i", temporary]);
    using writer = writerAt(place.path, { placement: "staged" });
    const error = await failure("volume", () => write(writer, target("f", 1), Buffer.from("x")));
    expect(error.message).toBe(`cannot create ${place.path}/f: the filesystem does not permit it (EPERM)`);
  });

  it.skipIf(!canMount)("leaves nothing behind when the bytes do not fit", async () => {
    await using place = await mountMemory("tmpfs", "size=64k");
    using writer = writerAt(place.path);
    const error = await failure("volume-full", () => write(writer, target("a/f", 2 ** 20), Buffer.alloc(2 ** 20)));
    expect(error.message).toBe(`cannot write ${place.path}/a/f: no space is left (ENOSPC)`);
    expect(await readdir(`${place.path}/a`)).toEqual([]);
  });

  it.skipIf(!canMount)("is a full volume when the inodes run out", async () => {
    await using place = await mountExt4(4, ["-N", "16"]);
    using writer = writerAt(place.path);
    await failure("volume-full", async () => {
      for (let i = 0; i < 20; i++) await write(writer, target(`f${i}`), Buffer.alloc(0));
    });
  });

  it.skipIf(!canMount)("says that a target is read-only", async () => {
    await using place = await mountExt4(4);
    using writer = writerAt(place.path);
    await run("mount", ["-o", "remount,ro", place.path]);
    const error = await failure("volume", () => write(writer, target("f"), Buffer.alloc(0)));
    expect(error.message).toBe(`cannot create ${place.path}/f: the target is read-only (EROFS)`);
  });

  it.skipIf(!isRoot)("gets its owner, and bits that a change of owner clears", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { uid: 1234, gid: 4321, fileMode: 0o6755 });
    await write(writer, target("f", 1), Buffer.from("x"));
    const stats = await stat(`${place.path}/f`);
    expect(stats).toMatchObject({ uid: 1234, gid: 4321, mode: 0o106755, mtimeMs: modifiedMs });
  });

  it("is synced and complete where each file has to be", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { fsyncFiles: true });
    expect(writer.prefersPool).toBe(true);
    await write(writer, target("a/b/f", 1), Buffer.from("x"));
    await writer.syncDirectories();
    expect(await readFile(`${place.path}/a/b/f`, "utf8")).toBe("x");
  });
});

it("a path of nearly 4,096 bytes is reached step by step, wherever the target is", async () => {
  await using place = await temporaryDirectory();
  using writer = writerAt(place.path);
  const deep = `${"d".repeat(250)}/`.repeat(16);
  writer.writeWhole(target(`${deep}f`, 1), Buffer.from("x"));
  expect(await writer.inspect([target(`${deep}f`).path])).toMatchObject([{ kind: "file", sizeBytes: 1 }]);
});

it.each([0o022, 0o077, 0o777])("modes of files do not depend on the umask %o", async (umask) => {
  await using place = await temporaryDirectory();
  const options = { root: place.path, placement: "direct", fileMode: 0o666, dirMode: 0o777, mtime: true };
  const job = { umask, do: "write", options: { ...options, fsyncFiles: false, io: "direct" } };
  await inChild({ ...job, paths: ["f", "a/f", "a/g"] });
  await inChild({ ...job, paths: ["large", "a/large"], large: true });
  for (const path of ["f", "a/f", "a/g", "large", "a/large"]) {
    expect((await stat(`${place.path}/${path}`)).mode & 0o7777, path).toBe(0o666);
  }
});

it("many files at once in the thread pool all arrive, even with more directories than are kept open", async () => {
  await using place = await temporaryDirectory();
  using writer = writerAt(place.path);
  const paths = Array.from({ length: 700 }, (_, i) => `d${i}/f`);
  await Promise.all(paths.map((path) => writer.writeWholePooled(target(path, path.length), Buffer.from(path))));
  for (const path of paths) expect(await readFile(`${place.path}/${path}`, "utf8")).toBe(path);
});
