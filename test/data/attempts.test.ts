import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { buildPlane } from "../../src/data/build-plane.ts";
import { slabPools } from "../../src/data/slabs.ts";
import { Admission } from "../../src/engine/admission.ts";
import { copyObject } from "../../src/engine/copy-object.ts";
import { Planner } from "../../src/engine/plan.ts";
import { Requests } from "../../src/engine/requests.ts";
import { systemClock } from "../../src/run/clock.ts";
import type { ObjectEntry, ObjectSource } from "../../src/types.ts";
import { pooled } from "../../src/volume/pooled.ts";
import { makeScratch } from "../e2e/support/scratch.ts";
import { DEFAULT_CREDENTIAL, Emulator } from "../emulator/server.ts";
import { RecordingMetrics, silentLogger } from "../support/observers.ts";
import { simpleRules } from "../support/sources.ts";
import { planeSetup } from "./plane-setup.ts";

const mib = 2 ** 20;
const key = "large";
const signal = new AbortController().signal;

function entryIn(emulator: Emulator): ObjectEntry {
  const stored = emulator.bucket("b").get(key);
  if (!stored) throw new Error("the object is gone");
  const { sizeBytes, etag, lastModifiedMs: modifiedMs } = stored;
  return {
    key,
    sizeBytes,
    etag: `"${etag}"`,
    modifiedMs,
    type: "Multipart",
    storageClass: "Standard",
    restored: false,
  };
}

/** What `copyObject` asks of the control plane: what the object is now. */
function sourceOf(emulator: Emulator): ObjectSource {
  const refuse = () => Promise.reject(new Error("nobody asks for that"));
  const head = async () => ({ ...entryIn(emulator), crc64: undefined, contentMd5: undefined, requestId: undefined });
  return { listPage: refuse, head, probe: refuse, refresh: refuse };
}

function planeAt(root: string, emulator: Emulator) {
  return buildPlane(planeSetup(emulator, root), { credentials: DEFAULT_CREDENTIAL, clockOffsetMs: 0 });
}

/** Holds the next write to a large file back until it is let go. */
function holdNextWrite() {
  const { promise: held, resolve: begin } = Promise.withResolvers<void>();
  const { promise: released, resolve: letGo } = Promise.withResolvers<void>();
  const write = pooled.write;
  const spy = vi.spyOn(pooled, "write").mockImplementationOnce(async (...args: Parameters<typeof write>) => {
    begin();
    await released;
    return write(...args);
  });
  onTestFinished(() => spy.mockRestore());
  return { held, letGo };
}

test("a write of an attempt that was given up ends before the object starts over", async () => {
  await using emulator = await Emulator.start({ buckets: ["b"] });
  await using scratch = await makeScratch();
  emulator.generate({ bucket: "b", count: 1, sizeBytes: 12 * mib + 77, nameOf: () => key });
  // The second range is answered when the first has come and its write is held.
  emulator.addFaults({ kind: "delay", ms: 1000, operation: "get", nth: 2 });
  const old = entryIn(emulator);
  await using plane = await planeAt(scratch.path, emulator);
  const source = sourceOf(emulator);
  const parts = { source, clock: systemClock, limits: { retries: 3, retryForMs: 60_000 }, limiter: undefined };
  const requests = new Requests({
    ...parts,
    admission: new Admission(8, slabPools(16 * mib)),
    metrics: new RecordingMetrics(),
    logger: silentLogger,
  });
  const planned = new Planner("", simpleRules, true).plan(old);
  if (planned.status !== "task") throw new Error("not a task");
  const { held, letGo } = holdNextWrite();

  const copying = copyObject(
    planned.task,
    { plane, rules: simpleRules, source, requests, clock: systemClock, rangeBytes: mib, lanes: 2, restarts: 3 },
    signal,
  );
  await held;
  emulator.replaceObject("b", key);
  // That answer ends the attempt but for the write.
  await vi.waitUntil(() => emulator.counters.byStatus[412] === 1, { timeout: 20_000 });
  // A restart waits for 200 ms at most.
  await setTimeout(800);
  const current = entryIn(emulator).etag;
  expect(emulator.requests.filter(({ headers }) => headers["if-match"] === current)).toEqual([]);
  letGo();
  expect(await copying).toMatchObject({ verification: "crc64" });

  const content = emulator.readObject("b", key);
  const expected = Buffer.concat([...(content?.slices(0, content.sizeBytes) ?? [])]);
  expect((await readFile(`${scratch.path}/${key}`)).equals(expected)).toBe(true);
});
