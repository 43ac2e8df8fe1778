import fc from "fast-check";
import { expect, test } from "vitest";
import { CheckpointSchedule, checkpointLimits } from "../../src/engine/checkpoint-schedule.ts";

const limits = { everyMs: 5000, everyBytes: 1000, everyObjects: 20 };
const none = { objects: 0, bytes: 0 };

test("a quarter of the memory limit may be dirty, and 256 MiB at most", () => {
  const within = (memoryLimitBytes: number | undefined) =>
    checkpointLimits({ memoryLimitBytes, limitBytesPerSecond: undefined });
  expect(within(undefined)).toEqual({ everyMs: 5000, everyBytes: 2 ** 28, everyObjects: 2000 });
  expect(within(2 ** 28).everyBytes).toBe(2 ** 26);
  expect(within(2 ** 40).everyBytes).toBe(2 ** 28);
});

test("under a limit of 100 MB/s less than 300 MB are lost, though a checkpoint takes half a second", () => {
  const bytesPerSecond = 100e6;
  const limits = checkpointLimits({ memoryLimitBytes: undefined, limitBytesPerSecond: bytesPerSecond });
  const schedule = new CheckpointSchedule(limits, 0);
  let savedBytes = 0;
  let taking: { readonly bytes: number; readonly endsMs: number } | undefined;
  for (let nowMs = 0; nowMs < 60_000; nowMs += 10) {
    const done = { objects: Math.floor(nowMs * 6), bytes: (bytesPerSecond / 1000) * nowMs };
    if (taking && nowMs >= taking.endsMs) {
      savedBytes = taking.bytes;
      taking = undefined;
      schedule.ended(nowMs);
    }
    if (schedule.due(nowMs, done)) {
      taking = { bytes: done.bytes, endsMs: nowMs + 500 };
      schedule.started(nowMs, done);
    }
    expect(done.bytes - savedBytes).toBeLessThanOrEqual(300e6);
  }
});

test("a small limit does not make checkpoints of little, nor a large one of more than memory allows", () => {
  const under = (limitBytesPerSecond: number, memoryLimitBytes?: number) =>
    checkpointLimits({ memoryLimitBytes, limitBytesPerSecond }).everyBytes;
  expect(under(1e6)).toBe(2 ** 26);
  expect(under(100e6)).toBe(150e6);
  expect(under(100e6, 2 ** 28)).toBe(2 ** 26);
  expect(under(1e10)).toBe(2 ** 28);
});

test.each([
  ["after 5 s", 5000, { objects: 1, bytes: 0 }, true],
  ["before, with little done", 4999, { objects: 19, bytes: 999 }, false],
  ["after enough bytes", 1, { objects: 0, bytes: 1000 }, true],
  ["after enough objects", 1, { objects: 20, bytes: 0 }, true],
  ["after any time with nothing done", 1e9, none, false],
])("it is due %s", (_when, nowMs, done, due) => {
  expect(new CheckpointSchedule(limits, 0).due(nowMs, done)).toBe(due);
});

test("it rests for 33 times what the last one took, even when somebody waits for it", () => {
  const schedule = new CheckpointSchedule(limits, 0);
  const done = { objects: 100, bytes: 5000 };
  schedule.started(10_000, none);
  expect(schedule.due(10_050, done, true)).toBe(false);
  schedule.ended(10_100);
  expect(schedule.due(13_399, done, true)).toBe(false);
  expect(schedule.due(13_400, done)).toBe(true);
});

test("one that came early in the run is paid for before the next", () => {
  const schedule = new CheckpointSchedule(limits, 0);
  const done = { objects: 100, bytes: 5000 };
  schedule.started(100, none);
  schedule.ended(200);
  expect(schedule.due(6699, done, true)).toBe(false);
  expect(schedule.due(6700, done)).toBe(true); // with the next 100 ms, 200 of 6,800
});

test("somebody who waits makes it due when nothing else does", () => {
  const schedule = new CheckpointSchedule(limits, 0);
  expect(schedule.due(1, none)).toBe(false);
  expect(schedule.due(1, none, true)).toBe(true);
});

test("what is done while one is taken counts for the next, and what came before the run for none", () => {
  const schedule = new CheckpointSchedule(limits, 0, { objects: 50, bytes: 0 });
  expect(schedule.due(1, { objects: 69, bytes: 0 })).toBe(false);
  expect(schedule.due(1, { objects: 70, bytes: 0 })).toBe(true);
  schedule.started(1, { objects: 70, bytes: 0 });
  schedule.ended(1);
  expect(schedule.due(2, { objects: 89, bytes: 0 })).toBe(false);
  expect(schedule.due(2, { objects: 90, bytes: 0 })).toBe(true);
});

test("checkpoints take less than 3 % of the time, however slow they are and however much is done", () => {
  const took = fc.array(fc.oneof(fc.nat(50), fc.nat(20_000)), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(took, fc.nat(200), (durationsMs, objectsPerMs) => {
      const schedule = new CheckpointSchedule(limits, 0);
      const done = { objects: 0, bytes: 0 };
      let nowMs = 0;
      let spentMs = 0;
      const pass = (ms: number): void => {
        nowMs += ms;
        done.objects += 1 + ms * objectsPerMs;
      };
      for (const durationMs of durationsMs) {
        while (!schedule.due(nowMs, done)) pass(25);
        expect(spentMs).toBeLessThanOrEqual(0.03 * nowMs);
        schedule.started(nowMs, done);
        pass(durationMs);
        schedule.ended(nowMs);
        spentMs += durationMs;
      }
    }),
    { numRuns: 100 },
  );
});
