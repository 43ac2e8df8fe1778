import { link, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { describe, expect, it, vi } from "vitest";
import { pooled } from "../../src/volume/pooled.ts";
import { content, fill, slabBytes } from "./large-file-content.ts";
import {
  canMount,
  failure,
  isRoot,
  modifiedMs,
  mountExt4,
  pageAligned,
  target,
  temporaryDirectory,
  writerAt,
} from "./support.ts";

describe("the life of a large file", () => {
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

  it("tells of a descriptor that cannot be opened once more as the target's trouble", async () => {
    await using place = await temporaryDirectory();
    using writer = writerAt(place.path);
    const closed = 1_000_000;
    const error = await failure("volume", () => writer.joinFile(target("f", 4096), closed));
    expect(error.message).toContain(`cannot open once more ${place.path}/f`);
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
