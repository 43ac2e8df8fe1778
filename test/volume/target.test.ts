import { chmod, mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { freeSpace } from "../../src/volume/space.ts";
import { prepareTarget, type TargetOptions } from "../../src/volume/target.ts";
import {
  canMount,
  failure,
  inChild,
  isRoot,
  mountExt4,
  mountMemory,
  run,
  socketAt,
  temporaryDirectory,
} from "./support.ts";

function options(directory: string, more: Partial<TargetOptions> = {}): TargetOptions {
  return {
    directory,
    verb: "populate",
    dryRun: false,
    allowRootFilesystem: false,
    processOne: false,
    mtime: true,
    fileMode: 0o644,
    dirMode: 0o755,
    ...more,
  };
}

describe("a target", () => {
  it("that is fit tells what it can do and is left as it was", async () => {
    await using place = await temporaryDirectory();
    const before = Date.now();
    const prepared = await prepareTarget(options(place.path));
    expect(prepared).toMatchObject({ root: place.path, exists: true, foreignNames: [], hasStateDirectory: false });
    expect(prepared.abilities).toMatchObject({ caseInsensitive: false, keepsModes: true, mtimeStepMs: 1 });
    expect(Math.abs((prepared.abilities?.startedCtimeMs ?? 0) - before)).toBeLessThan(10_000);
    expect(await readdir(place.path)).toEqual([]);
  });

  it("must exist for populate and verify", async () => {
    await using place = await temporaryDirectory();
    for (const verb of ["populate", "verify"] as const) {
      const error = await failure("volume", () => prepareTarget(options(`${place.path}/a`, { verb })));
      expect(error.message).toBe(`the target ${place.path}/a does not exist`);
    }
  });

  it("is made by copy, with its parents and the wanted mode", async () => {
    await using place = await temporaryDirectory();
    const prepared = await prepareTarget(options(`${place.path}/a/b`, { verb: "copy", dirMode: 0o2770 }));
    expect(prepared.root).toBe(`${place.path}/a/b`);
    expect((await stat(`${place.path}/a/b`)).mode & 0o7777).toBe(0o2770);
  });

  it("is not made by the dry run of a copy", async () => {
    await using place = await temporaryDirectory();
    const dry = options(`${place.path}/a`, { verb: "copy", dryRun: true });
    expect(await prepareTarget(dry)).toMatchObject({ exists: false, abilities: undefined });
    expect(await readdir(place.path)).toEqual([]);
  });

  it("may be a symlink to a directory, which is resolved once", async () => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/real`);
    await symlink("real", `${place.path}/link`);
    expect((await prepareTarget(options(`${place.path}/link`))).root).toBe(`${place.path}/real`);
  });

  it("is no file, FIFO, socket or dangling symlink", async () => {
    await using place = await temporaryDirectory();
    await writeFile(`${place.path}/file`, "x");
    await run("mkfifo", [`${place.path}/fifo`]);
    await using _socket = await socketAt(`${place.path}/socket`);
    await symlink("nothing", `${place.path}/dangling`);
    for (const name of ["file", "fifo", "socket"]) {
      const error = await failure("volume", () => prepareTarget(options(`${place.path}/${name}`)));
      expect(error.message.toLowerCase()).toContain(`is a ${name}, not a directory`);
    }
    await failure("volume", () => prepareTarget(options(`${place.path}/dangling`, { verb: "copy" })));
  });

  it("names what is there, without lost+found, our state and our probes", async () => {
    await using place = await temporaryDirectory();
    await mkdir(`${place.path}/lost+found`, 0);
    await mkdir(`${place.path}/.oss-populator`);
    await writeFile(`${place.path}/.oss-populator.probe-0123`, "");
    const empty = await prepareTarget(options(place.path));
    expect(empty).toMatchObject({ foreignNames: [], hasStateDirectory: true });
    for (let i = 0; i < 30; i++) await writeFile(`${place.path}/f${i}`, "");
    expect((await prepareTarget(options(place.path, { dryRun: true }))).foreignNames).toHaveLength(10);
  });

  it("is on the filesystem of / only where that is allowed or we are not process 1", async () => {
    await using place = await temporaryDirectory();
    const sameFilesystem = (await stat(place.path)).dev === (await stat("/")).dev;
    const inContainer = options(place.path, { processOne: true });
    if (sameFilesystem) {
      const error = await failure("volume", () => prepareTarget(inContainer));
      expect(error.message).toContain(`no volume is mounted at ${place.path}`);
    }
    await prepareTarget({ ...inContainer, allowRootFilesystem: true });
    await prepareTarget({ ...inContainer, verb: "copy" });
  });

  it.skipIf(!canMount)("with a volume of its own suits process 1", async () => {
    await using place = await mountExt4(4);
    const prepared = await prepareTarget(options(place.path, { processOne: true }));
    expect(prepared.foreignNames).toEqual([]);
    expect(await readdir(place.path)).toEqual(["lost+found"]);
  });

  it.skipIf(!canMount)("that is read-only says so, also in a dry run", async () => {
    await using place = await mountExt4(4);
    await run("mount", ["-o", "remount,ro", place.path]);
    for (const dryRun of [false, true]) {
      const error = await failure("volume", () => prepareTarget(options(place.path, { dryRun })));
      expect(error.message).toBe(`the target ${place.path} is read-only`);
    }
    await prepareTarget(options(place.path, { verb: "verify" }));
  });

  it.skipIf(!canMount)("without free inodes is full", async () => {
    await using place = await mountMemory("tmpfs", "size=1m,nr_inodes=1");
    await failure("volume-full", () => prepareTarget(options(place.path)));
  });

  it.skipIf(!canMount)("in memory is found out", async () => {
    await using place = await mountMemory("ramfs");
    expect((await prepareTarget(options(place.path))).abilities?.io).toBe("memory");
  });

  it("keeps probes that may be another run's, and what only looks like one", async () => {
    await using place = await temporaryDirectory();
    const name = ".oss-populator.probe-0123456789abcdef";
    await writeFile(`${place.path}/${name}`, "");
    await mkdir(`${place.path}/.oss-populator.probe-directory`);
    // Old by its mtime, which anyone can set; its ctime is of this moment.
    await utimes(`${place.path}/${name}`, 0, 0);
    await prepareTarget(options(place.path));
    expect((await readdir(place.path)).sort()).toEqual([name, ".oss-populator.probe-directory"]);
  });
});

describe.skipIf(!isRoot)("a target for a user who is not root", () => {
  const nobody = { uid: 4242, gid: 4242 };

  it("that is closed says whose it is and what to do", async () => {
    await using place = await temporaryDirectory();
    for (const dryRun of [false, true]) {
      const { kind, message } = await inChild({ do: "prepare", options: options(place.path, { dryRun }) }, nobody);
      // mkdtemp makes it 0700: not even the listing is possible.
      expect(kind).toBe("volume");
      expect(message).toContain("belongs to uid 0, gid 0, mode 0700; we run as uid 4242, gid 4242");
      expect(message).toContain("fsGroup");
    }
    await chmod(place.path, 0o755);
    const { message } = await inChild({ do: "prepare", options: options(place.path) }, nobody);
    expect(message).toContain("mode 0755");
  });

  it("cannot hold files of another owner", async () => {
    await using place = await temporaryDirectory();
    await chmod(place.path, 0o777);
    const job = { do: "prepare", options: options(place.path, { uid: 1, gid: 2 }) };
    const { kind, message } = await inChild(job, nobody);
    expect(kind).toBe("volume");
    expect(message).toContain("cannot be given to uid 1, gid 2: we run as uid 4242");
    expect(await readdir(place.path)).toEqual([]);
    const own = await inChild({ do: "prepare", options: options(place.path, { uid: 4242, gid: 4242 }) }, nobody);
    expect(own.result.exists).toBe(true);
  });

  it("refuses a copy whose directories would lock it out", async () => {
    await using place = await temporaryDirectory();
    await chmod(place.path, 0o777);
    const job = { do: "prepare", options: options(place.path, { verb: "copy", dirMode: 0o555 }) };
    expect((await inChild(job, nobody)).message).toBe("directories with mode 0555 could not be filled by uid 4242");
  });
});

describe("free space", () => {
  it.skipIf(!canMount)("is what is left, of bytes and of inodes", async () => {
    await using place = await mountMemory("tmpfs", "size=1m,nr_inodes=10");
    const before = await freeSpace(place.path);
    expect(before).toEqual({ freeBytes: 2 ** 20, freeInodes: 9, blockBytes: 4096 });
    await writeFile(`${place.path}/f`, Buffer.alloc(5000));
    expect(await freeSpace(place.path)).toMatchObject({ freeBytes: 2 ** 20 - 8192, freeInodes: 8 });
    expect(await readFile(`${place.path}/f`)).toHaveLength(5000);
  });

  it.skipIf(!canMount)("has no inodes where they are not counted", async () => {
    await using place = await mountMemory("tmpfs", "size=1m,nr_inodes=0");
    expect((await freeSpace(place.path)).freeInodes).toBeUndefined();
  });

  it("of a directory that is gone is an error of the volume", async () => {
    const place = await temporaryDirectory();
    await rm(place.path, { recursive: true });
    await failure("volume", () => freeSpace(place.path));
  });
});
