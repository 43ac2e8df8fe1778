import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { chooseDurability, reportsWriteBackErrors } from "../../src/volume/durability.ts";
import { canMount, failure, mountExt4, mountMemory, run, temporaryDirectory } from "./support.ts";

/** Node has no ioctl(2). */
const hasPython = await run("python3", ["--version"]).then(
  () => true,
  () => false,
);

describe("the way to stable storage", () => {
  it.skipIf(!canMount)("is one sync of the filesystem where that is sound", async () => {
    await using place = await mountExt4(4);
    const durability = await chooseDurability(place.path, { dryRun: false });
    expect(durability.method).toBe("syncfs");
    await Promise.all([durability.sync(), durability.sync(), durability.sync()]);
  });

  it.skipIf(!canMount)("is a sync of each file on a filesystem that is not known to be sound", async () => {
    await using place = await mountMemory("ramfs");
    const durability = await chooseDurability(place.path, { dryRun: false });
    expect(durability.method).toBe("fsync");
    await durability.sync();
  });

  it("is none in a dry run", async () => {
    const durability = await chooseDurability("/nowhere", { dryRun: true });
    expect(durability.method).toBe("none");
    await durability.sync();
  });

  it.skipIf(!canMount)("that fails is an error of the volume with what the system said", async () => {
    const place = await mountExt4(4);
    const durability = await chooseDurability(place.path, { dryRun: false });
    await place[Symbol.asyncDispose]();
    const error = await failure("volume", () => durability.sync());
    expect(error.message).toContain(`the target ${place.path} could not be synced to stable storage: sync:`);
    expect(error.message).toContain("No such file or directory");
  });

  it.skipIf(!canMount)("finds out that the target is not where it was", async () => {
    await using place = await mountMemory("tmpfs");
    const durability = await chooseDurability(place.path, { dryRun: false });
    await run("mount", ["-t", "tmpfs", "tmpfs", place.path]);
    const error = await failure("volume", () => durability.sync());
    await run("umount", [place.path]);
    expect(error.message).toBe(`the target ${place.path} was unmounted or replaced during the run`);
    await durability.sync();
  });

  it.skipIf(!canMount || !hasPython)("shows an error of the device", async () => {
    await using place = await mountExt4(8);
    const durability = await chooseDurability(place.path, { dryRun: false });
    await writeFile(`${place.path}/f`, "dirty");
    await run("python3", ["-c", shutdownFilesystem, place.path]);
    await failure("volume", () => durability.sync());
  });

  it("that has failed once fails for good: what was lost would not be told of again", async () => {
    await using place = await temporaryDirectory();
    const root = `${place.path}/root`;
    await mkdir(root);
    const durability = await chooseDurability(root, { dryRun: false });
    await durability.sync();
    await rm(root, { recursive: true });
    const { message } = await failure("volume", () => durability.sync());
    await mkdir(root);
    expect((await failure("volume", () => durability.sync())).message).toBe(message);
  });

  it("does not wait for a caller who has given up", async () => {
    await using place = await temporaryDirectory();
    const durability = await chooseDurability(place.path, { dryRun: false });
    const abort = new AbortController();
    const first = durability.sync(abort.signal);
    const second = durability.sync();
    abort.abort(new Error("stopped"));
    await expect(first).rejects.toThrow("stopped");
    await second;
    await expect(durability.sync(abort.signal)).rejects.toThrow("stopped");
    expect((await stat(place.path)).isDirectory()).toBe(true);
  });

  it("of a target that is gone cannot be chosen", async () => {
    const place = await temporaryDirectory();
    await rm(place.path, { recursive: true });
    await failure("volume", () => chooseDurability(place.path, { dryRun: false }));
  });
});

it.each([
  ["5.8.0", true],
  ["5.10.134-16.al8.x86_64", true],
  ["6.1.0-rc1", true],
  ["10.0.1", true],
  ["5.7.19", false],
  ["4.19.91-27.al7", false],
])("kernel %s reports write-back errors to syncfs: %s", (release, expected) => {
  expect(reportsWriteBackErrors(release)).toBe(expected);
});

/** EXT4_IOC_SHUTDOWN without a flush of the log: from then on every write fails, as after the loss of a disk. */
const shutdownFilesystem = `
import fcntl, os, struct, sys
directory = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(directory, 0x8004587d, struct.pack("I", 2))
`;
