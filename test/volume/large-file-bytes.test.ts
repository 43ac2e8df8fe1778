import { createHash } from "node:crypto";
import { fstatSync } from "node:fs";
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { describe, expect, it, vi } from "vitest";
import { mostDirtyBytes } from "../../src/volume/direct-file.ts";
import { pooled } from "../../src/volume/pooled.ts";
import { content, fill, memory, slabBytes } from "./large-file-content.ts";
import {
  canMount,
  failure,
  modifiedMs,
  mountExt4,
  mountMemory,
  pageAligned,
  target,
  temporaryDirectory,
  writerAt,
} from "./support.ts";

const signal = new AbortController().signal;
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
  ["past the page cache", "direct"],
  ["through the page cache", "buffered"],
  ["as into memory", "memory"],
] as const)("a large file written %s", (_name, io) => {
  it.each(sizes)("of %i bytes is exact to its tail", async (sizeBytes) => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, { io, fileMode: 0o604 });
    const file = await writer.openFile(target("a/f", sizeBytes));
    if (io !== "direct") expect(file.direct).toBe(false);
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
    ["holds little of a file that is written through it", { io: "buffered" }, 2],
    ["holds no more than it is told to", { io: "buffered", dirtyBytes: mostDirtyBytes / 2 }, 5],
    ["is not synced for a file that goes past it", { io: "direct" }, 0],
    ["is not synced for a file that is memory", { io: "memory" }, 0],
  ] as const)("%s", async (_name, options, syncs) => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path, options);
    using fdatasync = vi.spyOn(pooled, "fdatasync");
    const sizeBytes = 3 * mostDirtyBytes - slabBytes;
    const file = await writer.openFile(target("f", sizeBytes));
    const slab = memory.subarray(0, slabBytes);
    for (let offset = 0; offset < sizeBytes; offset += slabBytes) await file.write(slab, offset);
    if (file.direct === (options.io === "direct")) expect(fdatasync).toHaveBeenCalledTimes(syncs);
    await file.settle();
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
