import { createHash } from "node:crypto";
import { fstatSync } from "node:fs";
import { link, readdir, readFile, readlink, stat, writeFile } from "node:fs/promises";
import { describe, expect, it, vi } from "vitest";
import { mostDirtyBytes } from "../../src/volume/direct-file.ts";
import type { LargeFile } from "../../src/volume/large-file.ts";
import { pooled } from "../../src/volume/pooled.ts";
import {
  canMount,
  failure,
  isRoot,
  modifiedMs,
  mountExt4,
  mountMemory,
  pageAligned,
  target,
  temporaryDirectory,
  writerAt,
} from "./support.ts";

const slabBytes = 256 * 1024;
const memory = pageAligned(20);
/** A copy of the memory's content, to compare with: writes zero what follows the tail. */
const content = Buffer.from(memory.subarray(0, 16 * 65_536));
const signal = new AbortController().signal;

/** Writes the first `sizeBytes` of the content, slab by slab, from memory at `shift` bytes past a page. */
async function fill(file: LargeFile, sizeBytes: number, shift = 0): Promise<void> {
  for (let offset = 0; offset < sizeBytes; offset += slabBytes) {
    const length = Math.min(slabBytes, sizeBytes - offset);
    const slab = memory.subarray(16 * 65_536 - (shift ? 65_536 : 0) + shift).subarray(0, slabBytes);
    slab.set(content.subarray(offset, offset + length));
    await file.write(slab.subarray(0, length), offset);
  }
}

const sizes = [
  0,
  1,
  511,
  512,
  4095,
  4096,
  4097,
  8191,
  8193,
  slabBytes - 1,
  slabBytes,
  slabBytes + 1,
  3 * slabBytes + 77,
];

describe.each([
  ["past the page cache", true],
  ["through the page cache", false],
])("a large file written %s", (_name, directIo) => {
  it.each(sizes)("of %i bytes is exact to its tail", async (sizeBytes) => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { directIo, fileMode: 0o604 });
    const file = await writer.openFile(target("a/f", sizeBytes));
    if (!directIo) expect(file.direct).toBe(false);
    await fill(file, sizeBytes);
    expect(await file.md5(sizeBytes, signal)).toBe(md5(content.subarray(0, sizeBytes)));
    // A direct write of the tail reaches to the end of its block; what is there must not be other objects' bytes.
    expect((await readFile(`${place.path}/a/f`)).subarray(sizeBytes).every((byte) => byte === 0)).toBe(true);
    await file.settle();
    expect(await readFile(`${place.path}/a/f`)).toEqual(content.subarray(0, sizeBytes));
    expect(await stat(`${place.path}/a/f`)).toMatchObject({ mode: 0o100604, mtimeMs: modifiedMs, size: sizeBytes });
  });
});

describe("a filesystem that refuses direct writes", () => {
  it("at a single write gets the rest of the file through the page cache", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    const sizeBytes = 2 * slabBytes + 4097;
    const file = await writer.openFile(target("f", sizeBytes));
    const direct = file.direct;
    await file.write(memory.subarray(0, 4096), 0);
    // Memory at an odd address is what the kernel refuses with EINVAL.
    await fill(file, sizeBytes, 1);
    if (direct) expect(file.direct).toBe(false);
    await file.settle();
    expect(await readFile(`${place.path}/f`)).toEqual(content.subarray(0, sizeBytes));
  });

  it.skipIf(!canMount)("at the open gets buffered writes from the start, and no empty file in the way", async () => {
    await using place = await mountMemory("ramfs");
    using writer = writerAt(place.path);
    const file = await writer.openFile(target("f", 5000));
    expect(file.direct).toBe(false);
    await fill(file, 5000);
    await file.settle();
    expect(await readFile(`${place.path}/f`)).toEqual(content.subarray(0, 5000));
  });

  it.skipIf(!canMount)("does not matter on a loop device, whatever its block size", async () => {
    await using place = await mountExt4(8, ["-b", "1024"]);
    using writer = writerAt(place.path);
    const file = await writer.openFile(target("f", 3 * slabBytes + 1));
    expect(file.direct).toBe(true);
    await fill(file, 3 * slabBytes + 1);
    await file.settle();
    expect(await readFile(`${place.path}/f`)).toEqual(content.subarray(0, 3 * slabBytes + 1));
  });
});

describe("writes of a large file", () => {
  it("that are under way together all leave direct I/O when one is refused, and none is lost", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    const pieceBytes = 64 * 1024;
    const pieces = 12;
    const file = await writer.openFile(target("a/f", pieces * pieceBytes));
    const offsets = Array.from({ length: pieces }, (_, i) => i * pieceBytes).reverse();
    const slabs = pageAligned(2 * pieces);
    const writes = offsets.map((offset, i) => {
      // Every second piece lies at an odd address, which the kernel refuses with EINVAL.
      const slab = slabs.subarray(2 * i * pieceBytes + (i % 2)).subarray(0, pieceBytes);
      slab.set(content.subarray(offset, offset + pieceBytes));
      return file.write(slab, offset);
    });
    await Promise.all(writes);
    expect(file.direct).toBe(false);
    const { descriptor } = file;
    await file.settle();
    expect(Buffer.compare(await readFile(`${place.path}/a/f`), content.subarray(0, pieces * pieceBytes))).toBe(0);
    expect(() => fstatSync(descriptor)).toThrow("EBADF");
    expect(await openFilesBelow(place.path)).toEqual([]);
  });

  it("that are asked for all at once end up at their places, in any order", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    const file = await writer.openFile(target("f", content.length));
    const all = pageAligned(16);
    const offsets = Array.from({ length: 16 }, (_, i) => (i * 7) % 16).map((i) => i * 65_536);
    await Promise.all(offsets.map((offset) => file.write(all.subarray(offset, offset + 65_536), offset)));
    await file.settle();
    expect(await readFile(`${place.path}/f`)).toEqual(content);
  });

  it("that would spoil their neighbours are bugs, not data", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    const file = await writer.openFile(target("f", 10_000));
    await expect(file.write(memory.subarray(0, 100), 0)).rejects.toThrow(RangeError);
    await expect(file.write(memory.subarray(0, 4096), 100)).rejects.toThrow(RangeError);
    await expect(file.write(memory.subarray(0, 4096), 8192)).rejects.toThrow(RangeError);
    if (file.direct) await expect(file.write(memory.subarray(memory.length - 1808), 8192)).rejects.toThrow(/no room/);
    await file.abandon({ remove: true });
  });

  it.skipIf(!canMount)("that do not fit make the volume full", async () => {
    await using place = await mountMemory("tmpfs", "size=512k");
    using writer = writerAt(place.path);
    const file = await writer.openFile(target("f", 2 ** 20));
    await failure("volume-full", () => fill(file, 2 ** 20));
    await file.abandon({ remove: true });
    expect(await readdir(place.path)).toEqual([]);
  });
});

describe("the page cache", () => {
  it.each([
    ["holds little of a file that is written through it", { directIo: false }, 2],
    ["holds no more than it is told to", { directIo: false, dirtyBytes: mostDirtyBytes / 2 }, 5],
    ["is not synced for a file that goes past it", { directIo: true }, 0],
  ])("%s", async (_name, options, syncs) => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, options);
    using fdatasync = vi.spyOn(pooled, "fdatasync");
    const sizeBytes = 3 * mostDirtyBytes - slabBytes;
    const file = await writer.openFile(target("f", sizeBytes));
    const slab = memory.subarray(0, slabBytes);
    for (let offset = 0; offset < sizeBytes; offset += slabBytes) await file.write(slab, offset);
    if (file.direct === options.directIo) expect(fdatasync).toHaveBeenCalledTimes(syncs);
    await file.settle();
  });
});

describe("the life of a large file", () => {
  it("starts over empty, at the size of a newer version", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    const file = await writer.openFile(target("f", 3 * slabBytes));
    await fill(file, 3 * slabBytes);
    await file.restart(target("f", 5000, "v2"));
    expect((await stat(`${place.path}/f`)).size).toBe(0);
    await fill(file, 5000);
    await file.settle();
    expect(await readFile(`${place.path}/f`)).toEqual(content.subarray(0, 5000));
  });

  it("in staging takes the temporary name of the newer version with it", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { placement: "staged" });
    const file = await writer.openFile(target("f", 10));
    await writeFile(`${place.path}/.oss-populator.v2.tmp`, "stale");
    await file.restart(target("f", 5000, "v2"));
    await fill(file, 5000);
    await file.settle();
    expect(await readdir(place.path)).toEqual([".oss-populator.v2.tmp"]);
    expect(await writer.publish([target("f", 5000, "v2")])).toEqual([undefined]);
    expect(await readFile(`${place.path}/f`)).toEqual(content.subarray(0, 5000));
  });

  it("ends with or without its file, and twice is once", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    const kept = await writer.openFile(target("kept", 4096));
    const removed = await writer.openFile(target("removed", 4096));
    await fill(kept, 4096);
    await kept.abandon({ remove: false });
    await removed.abandon({ remove: true });
    await removed.abandon({ remove: true });
    expect(await readdir(place.path)).toEqual(["kept"]);
  });

  it("stays for another run only once it is on stable storage, where files are synced one by one", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { fsyncFiles: true });
    const file = await writer.openFile(target("f", 4 * slabBytes));
    const joined = writer.joinFile(file.target, file.descriptor);
    await fill(file, slabBytes);
    using fdatasync = vi.spyOn(pooled, "fdatasync");
    await joined.abandon({ remove: false });
    expect(fdatasync).not.toHaveBeenCalled();
    await file.abandon({ remove: false });
    expect(fdatasync).toHaveBeenCalledTimes(1);
  });

  it("is settled before a sync that was asked for meanwhile is over", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { fsyncFiles: true });
    const file = await writer.openFile(target("f", slabBytes));
    await fill(file, slabBytes);
    const ends: string[] = [];
    const settling = file.settle().then(() => ends.push("settled"));
    await file.sync().then(() => ends.push("synced"));
    await settling;
    expect(ends).toEqual(["settled", "synced"]);
  });

  it("cannot be synced any more once that has failed: what was lost would not be told of again", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { fsyncFiles: true });
    const file = await writer.openFile(target("f", slabBytes));
    await fill(file, slabBytes);
    using _fsync = vi
      .spyOn(pooled, "fsync")
      .mockRejectedValueOnce(Object.assign(new Error("EIO"), { code: "EIO", syscall: "fsync" }));
    const { message } = await failure("volume", () => file.settle());
    expect((await failure("volume", () => file.sync())).message).toBe(message);
    await failure("volume", () => file.abandon({ remove: false }));
  });

  it("does not remove a file that has taken its place", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    const file = await writer.openFile(target("f", 4096));
    const { rename } = await import("node:fs/promises");
    await writeFile(`${place.path}/foreign`, "foreign");
    await rename(`${place.path}/foreign`, `${place.path}/f`);
    await file.abandon({ remove: true });
    expect(await readFile(`${place.path}/f`, "utf8")).toBe("foreign");
  });

  it("goes on where an earlier run ended", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    const first = await writer.openFile(target("f", 3 * slabBytes));
    await first.write(pageAligned(4), 0);
    await first.abandon({ remove: false });
    const second = writer.reopenFile(target("f", 3 * slabBytes), slabBytes);
    expect(second).toBeDefined();
    for (const offset of [slabBytes, 2 * slabBytes]) {
      await second?.write(pageAligned(16).subarray(offset, offset + slabBytes), offset);
    }
    await second?.settle();
    expect(await readFile(`${place.path}/f`)).toEqual(content.subarray(0, 3 * slabBytes));
  });

  it("does not go on with a file that is shorter than what is to be kept, missing, or linked elsewhere", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    await writeFile(`${place.path}/short`, "short");
    expect(writer.reopenFile(target("short", slabBytes), 4096)).toBeUndefined();
    expect(await readdir(place.path)).toEqual([]);
    expect(writer.reopenFile(target("missing", slabBytes), 4096)).toBeUndefined();
    await writeFile(`${place.path}/original`, Buffer.alloc(8192));
    await link(`${place.path}/original`, `${place.path}/linked`);
    await failure("occupied", () => writer.reopenFile(target("linked", slabBytes), 4096));
  });

  it("in staging goes on with the same version only", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { placement: "staged" });
    const first = await writer.openFile(target("f", 2 * slabBytes, "v1"));
    await first.write(pageAligned(4), 0);
    await first.abandon({ remove: false });
    expect(writer.reopenFile(target("f", 2 * slabBytes, "v2"), slabBytes)).toBeUndefined();
    const second = writer.reopenFile(target("f", 2 * slabBytes, "v1"), slabBytes);
    await second?.write(pageAligned(8).subarray(slabBytes), slabBytes);
    await second?.settle();
    expect(await writer.publish([target("f", 2 * slabBytes, "v1")])).toEqual([undefined]);
    expect(await readFile(`${place.path}/f`)).toEqual(content.subarray(0, 2 * slabBytes));
  });

  it("goes on with the name of its directory to be synced", async () => {
    await using place = await temporaryDirectory();
    {
      using earlier = writerAt(place.path);
      await (await earlier.openFile(target("a/f", slabBytes))).abandon({ remove: false });
    }
    using writer = writerAt(place.path, { fsyncFiles: true });
    using fsync = vi.spyOn(pooled, "fsync");
    const file = writer.reopenFile(target("a/f", slabBytes), 0);
    await writer.syncDirectories();
    expect(fsync).toHaveBeenCalledTimes(1);
    await file?.abandon({ remove: true });
  });

  it.skipIf(!isRoot)("ends with its owner", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { uid: 1234, gid: 4321, fsyncFiles: true });
    const file = await writer.openFile(target("f", 1));
    await fill(file, 1);
    await file.settle();
    expect(await stat(`${place.path}/f`)).toMatchObject({ uid: 1234, gid: 4321, mtimeMs: modifiedMs, size: 1 });
  });

  it("refuses to begin where something foreign is", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/f`, "foreign");
    using writer = writerAt(place.path);
    await failure("occupied", () => writer.openFile(target("f", 4096)));
    expect(await readFile(`${place.path}/f`, "utf8")).toBe("foreign");
  });
});

describe("the blocks of a large file", () => {
  const sizeBytes = 64 * 2 ** 20;

  it.skipIf(!canMount)("are reserved before the first byte, and the length with them", async () => {
    await using place = await mountExt4(100);
    using writer = writerAt(place.path);
    const file = await writer.openFile(target("f", sizeBytes));
    const { size, blocks } = await stat(`${place.path}/f`);
    expect(size).toBe(sizeBytes);
    expect(blocks * 512).toBeGreaterThanOrEqual(sizeBytes);
    await file.restart(target("f", 4096));
    expect((await stat(`${place.path}/f`)).blocks).toBe(0);
    await file.abandon({ remove: true });
  });

  it.skipIf(!canMount)("show a volume that is too small at once, and leave nothing there", async () => {
    await using place = await mountExt4(32);
    using writer = writerAt(place.path);
    const error = await failure("volume-full", () => writer.openFile(target("a/f", sizeBytes)));
    expect(error.message).toBe(`cannot reserve ${sizeBytes} bytes for ${place.path}/a/f: no space is left`);
    expect(await readdir(`${place.path}/a`)).toEqual([]);
  });
});

function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("base64");
}

/** Files below a directory that this process has open. */
async function openFilesBelow(path: string): Promise<string[]> {
  const names = await readdir("/proc/self/fd");
  const paths = await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => "")));
  return paths.filter((open) => open.startsWith(`${path}/`) && open.endsWith("/f"));
}
