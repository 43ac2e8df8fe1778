import { mkdir, readdir, symlink, unlink, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { CopyState, holdOtherDivisions } from "../../src/volume/copy-state.ts";
import type { CopyWork } from "../../src/volume/copy-work.ts";
import { versionOf, workOfLock, workOfVersion } from "../../src/volume/copy-work.ts";
import { readOwnerRecord } from "../../src/volume/owner-record.ts";
import { temporaryName, versionOfTemporary } from "../../src/volume/path.ts";
import { failure, run, temporaryDirectory } from "./support.ts";

const signal = new AbortController().signal;
const impatient = { waitMs: 0, onWait: () => {} };
const source = "0123456789abcdef";
const whole: CopyWork = { source, index: 0, count: 1 };
const state = ".oss-populator";

function shard(index: number, count = 8): CopyWork {
  return { source, index, count };
}

function hold(root: string, work: CopyWork): Promise<CopyState> {
  return CopyState.hold(root, work, impatient, signal);
}

/** What a killed run leaves: its lock has ended, its state has not. */
async function leave(root: string, work: CopyWork, text?: string): Promise<void> {
  await using held = await hold(root, work);
  if (text !== undefined) await held.save(text);
}

describe("the state of a copy", () => {
  it("is there while the copy works, and the target is as before when it is complete", async () => {
    await using place = await temporaryDirectory();
    await using held = await hold(place.path, whole);
    expect(held).toMatchObject({ held: true, warning: undefined, existed: false });
    expect(await held.load()).toBeUndefined();
    await held.save("text");
    expect(await held.load()).toBe("text");
    expect(await readdir(place.path)).toEqual([state]);
    await held.remove();
    expect(await readdir(place.path)).toEqual([]);
    await held.remove();
    expect(await readdir(place.path)).toEqual([]);
  });

  it("of a run that was killed is found by the next run of the same work, and of no other", async () => {
    await using place = await temporaryDirectory();
    await leave(place.path, shard(3), "text");
    await using same = await hold(place.path, shard(3));
    expect(same.existed).toBe(true);
    expect(await same.load()).toBe("text");
    await using other = await hold(place.path, shard(4));
    expect(other.existed).toBe(false);
    expect(await other.load()).toBeUndefined();
    await using another = await hold(place.path, { ...shard(3), source: "f".repeat(16) });
    expect(another.existed).toBe(false);
  });

  it("keeps out another process of the same shard only", async () => {
    await using place = await temporaryDirectory();
    await using _third = await hold(place.path, shard(3));
    const error = await failure("busy", () => hold(place.path, shard(3)));
    expect(error.message).toContain(`shard 3 of 8 of ${place.path}`);
    await using fourth = await hold(place.path, shard(4));
    expect(fourth.held).toBe(true);
  });

  it("stays until the last shard has removed its own", async () => {
    await using place = await temporaryDirectory();
    await using third = await hold(place.path, shard(3));
    await using fourth = await hold(place.path, shard(4));
    await third.remove();
    expect(await readdir(place.path)).toEqual([state]);
    await fourth.save("text");
    await fourth.remove();
    expect(await readdir(place.path)).toEqual([]);
  });

  it("that was removed by its holder is made anew by who waited for it", async () => {
    await using place = await temporaryDirectory();
    const first = await hold(place.path, whole);
    let waits = 0;
    const waiting = CopyState.hold(place.path, whole, { waitMs: 20_000, onWait: () => waits++ }, signal);
    while (waits === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await first.remove();
    await first[Symbol.asyncDispose]();
    await using second = await waiting;
    expect(second).toMatchObject({ held: true, existed: false });
    await failure("busy", () => hold(place.path, whole));
  });

  it("can be held and removed by many shards at once, again and again", async () => {
    await using place = await temporaryDirectory();
    const shards = Array.from({ length: 6 }, async (_, index) => {
      for (let round = 0; round < 5; round++) {
        await using held = await hold(place.path, shard(index));
        await held.save(`${index}`);
        expect(await held.load()).toBe(`${index}`);
        await held.remove();
      }
    });
    await Promise.all(shards);
    expect(await readdir(place.path)).toEqual([]);
  });

  it("is not taken from a symlink, a FIFO or a directory in its place", { timeout: 20_000 }, async () => {
    await using place = await temporaryDirectory();
    await leave(place.path, whole);
    const [lock = ""] = await readdir(`${place.path}/${state}`);
    const path = `${place.path}/${state}/${lock}`;
    await unlink(path);
    await writeFile(`${place.path}/precious`, "precious");
    await symlink(`${place.path}/precious`, path);
    await failure("volume", () => hold(place.path, whole));
    await unlink(path);
    await run("mkfifo", [path]);
    await failure("volume", () => hold(place.path, whole));
    await unlink(path);
    await mkdir(path);
    await failure("volume", () => hold(place.path, whole));
  });

  it("is a reason for populate to leave the target alone", async () => {
    await using place = await temporaryDirectory();
    await leave(place.path, whole);
    expect(await readOwnerRecord(place.path)).toMatchObject({
      status: "foreign",
      reason: expect.stringContaining("a copy into the target is unfinished"),
    });
  });
});

describe("other divisions of the same source", () => {
  it("are taken over where nobody is at work", async () => {
    await using place = await temporaryDirectory();
    for (const work of [whole, shard(0), shard(1), shard(0, 4), { ...whole, source: "f".repeat(16) }]) {
      await leave(place.path, work);
    }
    await using _busy = await hold(place.path, shard(0, 4));
    const others = await holdOtherDivisions(place.path, shard(2), signal);
    expect(others.map(({ work }) => work)).toEqual([whole]);
    await failure("busy", () => hold(place.path, whole));
    for (const other of others) {
      await other.remove();
      await other[Symbol.asyncDispose]();
    }
    expect(await readdir(`${place.path}/${state}`)).toHaveLength(4);
  });
});

describe("names of a copy", () => {
  it("tell whose they are", () => {
    const version = versionOf(shard(3), "ab".repeat(16));
    expect(versionOfTemporary(temporaryName(version))).toBe(version);
    expect(workOfVersion(version)).toEqual(shard(3));
    expect(workOfVersion("ab".repeat(16))).toBeUndefined();
    expect(workOfVersion(`${version}0`)).toBeUndefined();
    expect(workOfLock(`copy-${source}-3-8`)).toEqual(shard(3));
    expect(workOfLock(`copy-${source}-3-8.checkpoint`)).toBeUndefined();
    expect(workOfLock("owner.json")).toBeUndefined();
  });
});
