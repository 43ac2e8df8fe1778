import { link, mkdir, open, readdir, readFile, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { dropCheckpoint, loadCheckpoint, saveCheckpoint } from "../../src/volume/checkpoint-file.ts";
import { canMount, failure, mountMemory, run, socketAt, temporaryDirectory } from "./support.ts";

const state = ".oss-populator";

async function withState() {
  const place = await temporaryDirectory();
  await mkdir(`${place.path}/${state}`);
  return place;
}

describe("a checkpoint on the volume", () => {
  it("comes back as it was saved last, and leaves nothing beside it", async () => {
    await using place = await temporaryDirectory();
    expect(await loadCheckpoint(place.path)).toBeUndefined();
    await saveCheckpoint(place.path, "first");
    await saveCheckpoint(place.path, "second: \u{1f4be}\n");
    expect(await loadCheckpoint(place.path)).toBe("second: \u{1f4be}\n");
    expect(await readdir(`${place.path}/${state}`)).toEqual(["checkpoint"]);
    expect((await stat(`${place.path}/${state}/checkpoint`)).mode & 0o777).toBe(0o600);
  });

  it("is gone after it was dropped, and twice is once", async () => {
    await using place = await temporaryDirectory();
    await dropCheckpoint(place.path);
    expect(await readdir(place.path)).toEqual([]);
    await saveCheckpoint(place.path, "text");
    await dropCheckpoint(place.path);
    await dropCheckpoint(place.path);
    expect(await loadCheckpoint(place.path)).toBeUndefined();
  });

  it.skipIf(!canMount)("stays when the volume is full, and the room of the failed one comes back", async () => {
    await using place = await mountMemory("tmpfs", "size=64k");
    await saveCheckpoint(place.path, "the old one");
    await failure("volume-full", () => saveCheckpoint(place.path, "x".repeat(100_000)));
    expect(await loadCheckpoint(place.path)).toBe("the old one");
    expect(await readdir(`${place.path}/${state}`)).toEqual(["checkpoint"]);
    await saveCheckpoint(place.path, "y".repeat(20_000));
  });

  it("too large to be read again is a bug", async () => {
    await using place = await temporaryDirectory();
    await expect(saveCheckpoint(place.path, "x".repeat(64 * 2 ** 20 + 1))).rejects.toThrow(RangeError);
  });
});

describe("a checkpoint that is not ours to trust", () => {
  it("is empty text when it is a symlink, a FIFO, a directory or a socket", { timeout: 10_000 }, async () => {
    await using place = await withState();
    await using other = await withState();
    await writeFile(`${place.path}/secret`, "secret");
    const checkpoint = `${place.path}/${state}/checkpoint`;
    await symlink(`${place.path}/secret`, checkpoint);
    expect(await loadCheckpoint(place.path)).toBe("");
    await saveCheckpoint(place.path, "ours");
    expect(await readFile(`${place.path}/secret`, "utf8")).toBe("secret");
    expect(await loadCheckpoint(place.path)).toBe("ours");
    await dropCheckpoint(place.path);
    await run("mkfifo", [checkpoint]);
    expect(await loadCheckpoint(place.path)).toBe("");
    await dropCheckpoint(place.path);
    expect(await loadCheckpoint(place.path)).toBeUndefined();
    await mkdir(checkpoint);
    expect(await loadCheckpoint(place.path)).toBe("");
    await using _socket = await socketAt(`${other.path}/${state}/checkpoint`);
    expect(await loadCheckpoint(other.path)).toBe("");
  });

  it("is empty text when it is larger than 64 MiB", async () => {
    await using place = await withState();
    const checkpoint = `${place.path}/${state}/checkpoint`;
    await writeFile(checkpoint, "");
    expect(await loadCheckpoint(place.path)).toBe("");
    await truncate(checkpoint, 64 * 2 ** 20 + 1);
    expect(await loadCheckpoint(place.path)).toBe("");
  });

  it("is not read through a state directory that is a symlink", async () => {
    await using place = await temporaryDirectory();
    await using elsewhere = await temporaryDirectory();
    await writeFile(`${elsewhere.path}/checkpoint`, "foreign");
    await symlink(elsewhere.path, `${place.path}/${state}`);
    await failure("volume", () => loadCheckpoint(place.path));
    await failure("volume", () => saveCheckpoint(place.path, "ours"));
    await failure("volume", () => dropCheckpoint(place.path));
    expect(await readFile(`${elsewhere.path}/checkpoint`, "utf8")).toBe("foreign");
  });

  it("is not written through what stands at its unfinished name", { timeout: 10_000 }, async () => {
    await using place = await withState();
    const unfinished = `${place.path}/${state}/checkpoint.tmp`;
    await writeFile(`${place.path}/data`, "data");
    await link(`${place.path}/data`, unfinished);
    await saveCheckpoint(place.path, "ours");
    expect(await readFile(`${place.path}/data`, "utf8")).toBe("data");
    await run("mkfifo", [unfinished]);
    await saveCheckpoint(place.path, "ours again");
    expect(await loadCheckpoint(place.path)).toBe("ours again");
    await symlink(`${place.path}/data`, unfinished);
    await saveCheckpoint(place.path, "and again");
    await using file = await open(`${place.path}/data`);
    expect(await file.readFile("utf8")).toBe("data");
  });
});
