import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { combineCrc64 } from "../../src/checksum/crc64.ts";
import { DataThread } from "../../src/data/data-thread.ts";
import { DataThreads } from "../../src/data/data-threads.ts";
import { ThreadedPlane } from "../../src/data/threaded-plane.ts";
import { copyOne } from "../../src/engine/whole-objects.ts";
import { CopyError } from "../../src/errors.ts";
import type { FileTarget, WholeRequest } from "../../src/types.ts";
import { resolvePath } from "../../src/volume/path.ts";
import { DEFAULT_CREDENTIAL, Emulator } from "../emulator/server.ts";
import { planeSetup } from "./plane-setup.ts";

const mib = 2 ** 20;
const signal = new AbortController().signal;
let emulator: Emulator;
let folder: string;

beforeAll(async () => {
  emulator = await Emulator.start({});
  emulator.generate({ bucket: "b", prefix: "small/", count: 50, sizeBytes: 5000 });
  emulator.generate({ bucket: "b", prefix: "large/", count: 1, sizeBytes: 9 * mib + 123 });
  folder = await mkdtemp(join(tmpdir(), "oss-populator-plane-"));
});

afterAll(async () => {
  await emulator[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function openPlane(threads: number, placement?: "direct" | "staged") {
  const root = await mkdtemp(join(folder, "target-"));
  const signing = { credentials: DEFAULT_CREDENTIAL, clockOffsetMs: 0 };
  const setup = planeSetup(emulator, root, placement);
  const plane = new ThreadedPlane({
    setup,
    threads: new DataThreads().start(threads),
    signing,
    onSigningChange: () => () => {},
  });
  return { root, plane };
}

function objectsOf(prefix: string): { key: string; etag: string; target: FileTarget }[] {
  return [...emulator.bucket("b").keys(prefix)].map((key, i) => {
    const stored = emulator.bucket("b").get(key);
    if (!stored) throw new Error(`no ${key}`);
    const target = {
      path: resolvePath(key),
      sizeBytes: stored.sizeBytes,
      modifiedMs: 1_700_000_000_000,
      version: `v${i}`,
    };
    return { key, etag: `"${stored.etag.replaceAll('"', "")}"`, target };
  });
}

function bytesOf(key: string): Buffer {
  const content = emulator.readObject("b", key);
  if (!content) throw new Error(`no ${key}`);
  return Buffer.concat([...content.slices(0, content.sizeBytes)]);
}

/** How each of a batch ended, in its place. */
function copyBatch(plane: ThreadedPlane, batch: readonly WholeRequest[]): Promise<unknown[]> {
  return new Promise((resolve) => {
    const ends: unknown[] = [];
    let open = batch.length;
    const end = (index: number, result: unknown): void => {
      ends[index] = result;
      if (--open === 0) resolve(ends);
    };
    plane.copyWholes(batch, signal, { copied: end, failed: end });
  });
}

describe("a data plane of threads", () => {
  it("copies small objects whole, in every thread", async () => {
    const { root, plane } = await openPlane(2);
    await using _ = plane;
    const objects = objectsOf("small/");
    const half = objects.length / 2;
    const batches = [objects.slice(0, half), objects.slice(half)];
    const results = await Promise.all(batches.map((batch) => copyBatch(plane, batch)));
    expect(results.flat()).toEqual(objects.map(() => "crc64"));
    for (const { key, target } of objects) {
      expect(await readFile(join(root, target.path))).toEqual(bytesOf(key));
    }
    expect(plane.stats()).toMatchObject({ receivedBytes: 250_000, writtenBytes: 250_000, bufferBytes: 0 });
  });

  it("writes one large file from several threads", async () => {
    const { root, plane } = await openPlane(3);
    await using _ = plane;
    const [object] = objectsOf("large/");
    if (!object) throw new Error("no large object");
    const { key, etag, target } = object;
    const file = await plane.openFile(target);
    const starts = Array.from({ length: Math.ceil(target.sizeBytes / mib) }, (_, i) => i * mib);
    const results = await Promise.all(
      starts.map((start) => {
        const range = { start, length: Math.min(mib, target.sizeBytes - start) };
        return plane.copyRange({ key, etag, objectBytes: target.sizeBytes, file, range }, signal);
      }),
    );
    await plane.settleFile(file);
    const lengths = starts.map((start) => Math.min(mib, target.sizeBytes - start));
    const crc = results.reduce((whole, { crc64 }, i) => combineCrc64(whole, crc64, lengths[i] ?? 0), 0n);
    expect(crc).toBe(results[0]?.head.crc64);
    const expected = bytesOf(key);
    expect((await readFile(join(root, target.path))).equals(expected)).toBe(true);
  });

  it("tells of each object of a batch in its place, whatever became of the others", async () => {
    const { plane } = await openPlane(1);
    await using _ = plane;
    const batch = objectsOf("small/").map((object, i) => (i % 3 === 1 ? { ...object, etag: '"other"' } : object));
    const ends = await copyBatch(plane, batch);
    const expected = batch.map((_, i) => (i % 3 === 1 ? expect.objectContaining({ kind: "changed" }) : "crc64"));
    expect(ends).toEqual(expected);
  });

  it("gives errors back with their kinds, and the signal's reason after an abort", async () => {
    const { plane } = await openPlane(1);
    await using _ = plane;
    const [object] = objectsOf("small/");
    if (!object) throw new Error("no object");
    const changed = copyOne(plane, { ...object, etag: '"other"' }, signal);
    await expect(changed).rejects.toSatisfy((error) => error instanceof CopyError && error.kind === "changed");
    emulator.addFaults({ kind: "stall", operation: "get", times: 1 });
    const abort = new AbortController();
    const reason = new Error("enough");
    const stalled = copyOne(plane, object, abort.signal);
    await setTimeout(100);
    abort.abort(reason);
    await expect(stalled).rejects.toBe(reason);
    await expect(copyOne(plane, object, abort.signal)).rejects.toBe(reason);
    emulator.clearFaults();
  });

  it("tells for each staged file how its publication went", async () => {
    const { root, plane } = await openPlane(2, "staged");
    await using _ = plane;
    const [one, two] = objectsOf("small/");
    if (!one || !two) throw new Error("too few objects");
    await copyOne(plane, one, signal);
    await mkdir(join(root, two.target.path));
    await copyOne(plane, two, signal);
    const [first, second] = await plane.publish([one.target, two.target]);
    expect(first).toBeUndefined();
    expect(second).toBeInstanceOf(CopyError);
    expect(await readdir(join(root, "small"))).toContain(one.target.path.split("/").at(-1));
  });

  it("takes its plane late, and loses nothing that is said while the plane is made", async () => {
    const root = await mkdtemp(join(folder, "target-"));
    await using threads = new DataThreads();
    const [thread] = threads.start(1);
    if (!thread) throw new Error("no thread");
    await setTimeout(500); // long enough to be up and waiting, mostly
    const signing = { credentials: undefined, clockOffsetMs: 0 };
    thread.open(planeSetup(emulator, root), signing);
    thread.sign({ credentials: DEFAULT_CREDENTIAL, clockOffsetMs: 0 });
    const [object] = objectsOf("small/");
    if (!object) throw new Error("no object");
    const ended = new Promise((resolve) => {
      thread.copyWholes([object], signal, { copied: (_, how) => resolve(how), failed: (_, error) => resolve(error) });
    });
    expect(await ended).toBe("crc64");
  });

  it("ends threads that never got a plane, and threads that have ended with theirs", async () => {
    await using unused = new DataThreads();
    expect(unused.start(1)).toHaveLength(1);
    expect(unused.start(2)).toHaveLength(2);
    expect(unused.start(1)).toHaveLength(2);
    await unused[Symbol.asyncDispose]();
    const root = await mkdtemp(join(folder, "target-"));
    await using used = new DataThreads();
    const signing = { credentials: DEFAULT_CREDENTIAL, clockOffsetMs: 0 };
    const options = {
      setup: planeSetup(emulator, root),
      threads: used.start(1),
      signing,
      onSigningChange: () => () => {},
    };
    await new ThreadedPlane(options)[Symbol.asyncDispose]();
  });

  it("rejects every call with the error, and its kind, of a thread whose target has gone", async () => {
    const root = await mkdtemp(join(folder, "target-"));
    const broken = planeSetup(emulator, join(root, "nothing"));
    await using thread = new DataThread();
    thread.open(broken, { credentials: undefined, clockOffsetMs: 0 });
    for (const path of ["a", "b"]) {
      const made = thread.call("makeDirectory", [resolvePath(path)]);
      await expect(made).rejects.toThrow(/nothing/);
      await expect(made).rejects.toSatisfy((error) => error instanceof CopyError && error.kind === "volume");
    }
  });
});
