import fc from "fast-check";
import { expect, test } from "vitest";
import {
  bytesDone,
  etaSeconds,
  nextPace,
  type Pace,
  progressDocument,
  progressOf,
  ratioOf,
  waitingFor,
} from "../../src/observe/progress.ts";
import { Tally } from "../../src/observe/tally.ts";
import type { Progress } from "../../src/types.ts";
import { progressWith } from "./support.ts";

const half = progressWith({
  listingComplete: true,
  listed: { objects: 10, bytes: 10_000_000 },
  copied: { objects: 5, bytes: 5_000_000 },
});

function paceOf(looks: readonly Progress[], stepMs = 1000): Pace {
  let pace = nextPace(undefined, looks[0] ?? progressWith(), 0);
  for (const [index, progress] of looks.slice(1).entries()) pace = nextPace(pace, progress, (index + 1) * stepMs);
  return pace;
}

test("there is no ratio before the listing is complete", () => {
  expect(ratioOf({ ...half, listingComplete: false })).toBeUndefined();
});

test("half of equal objects is half", () => {
  expect(ratioOf(half)).toBeCloseTo(0.5);
});

test("an empty source is done once it is listed", () => {
  expect(ratioOf(progressWith({ listingComplete: true }))).toBe(1);
});

test("empty objects count although they have no bytes", () => {
  const progress = progressWith({
    listingComplete: true,
    listed: { objects: 4, bytes: 0 },
    skipped: { objects: 1, bytes: 0 },
    failed: { objects: 1, bytes: 0 },
  });
  expect(ratioOf(progress)).toBe(0.5);
});

test("the written part of one large object counts before it is settled", () => {
  const progress = progressWith({
    listingComplete: true,
    listed: { objects: 1, bytes: 1e12 },
    writtenBytes: 2.5e11,
  });
  expect(ratioOf(progress)).toBeCloseTo(0.25);
});

test("the ratio is 1 exactly when every listed object has its outcome, whatever was written", () => {
  const counts = fc.record({ objects: fc.nat(1000), bytes: fc.nat(1e9) });
  fc.assert(
    fc.property(counts, counts, counts, counts, fc.nat(1e10), (copied, skipped, failed, open, writtenBytes) => {
      const listed = {
        objects: copied.objects + skipped.objects + failed.objects + open.objects,
        bytes: copied.bytes + skipped.bytes + failed.bytes + open.bytes,
      };
      const progress = progressWith({ listingComplete: true, listed, copied, skipped, failed, writtenBytes });
      const ratio = ratioOf(progress) ?? -1;
      expect(ratio).toBeGreaterThanOrEqual(0);
      expect(ratio === 1).toBe(open.objects === 0);
      expect(ratio).toBeLessThanOrEqual(1);
      expect(bytesDone(progress)).toBeLessThanOrEqual(listed.bytes);
    }),
  );
});

test("the rate follows a change within seconds, without jumping", () => {
  const looks = [0, 1, 2, 3, 4].map((second) => progressWith({ receivedBytes: second * 100 }));
  expect(paceOf(looks).rates?.receivedBytes).toBeCloseTo(100);
  const stopped = nextPace(paceOf(looks), looks.at(-1) ?? half, 5000);
  expect(stopped.rates?.receivedBytes).toBeGreaterThan(50);
  expect(nextPace(stopped, stopped.progress, 30_000).rates?.receivedBytes).toBeLessThan(1);
});

test("what falls gives no negative rate, and a clock that stands no endless one", () => {
  const fell = paceOf([progressWith({ receivedBytes: 100 }), progressWith({ receivedBytes: 0 })]);
  expect(fell.rates?.receivedBytes).toBe(0);
  expect(nextPace(fell, progressWith({ receivedBytes: 100 }), fell.atMs)).toBe(fell);
});

test("the remaining time follows from the work that is done in a second", () => {
  const before = { ...half, copied: { objects: 4, bytes: 4_000_000 } };
  expect(etaSeconds(paceOf([before, half]))).toBeCloseTo(5);
  expect(etaSeconds(paceOf([half, half]))).toBeUndefined();
  expect(etaSeconds(paceOf([half]))).toBeUndefined();
  expect(etaSeconds(paceOf([before, { ...half, listingComplete: false }]))).toBeUndefined();
});

test("what is waited for is what grew most between the looks, not since the start", () => {
  const waits = (sourceSeconds: number, limiterSeconds: number, diskSeconds: number) =>
    progressWith({ waits: { sourceSeconds, limiterSeconds, diskSeconds } });
  expect(waitingFor(paceOf([waits(1000, 0, 0), waits(1000, 0, 4)]))).toBe("disk");
  expect(waitingFor(paceOf([waits(1000, 0, 0), waits(1001, 3, 2)]))).toBe("limiter");
  expect(waitingFor(paceOf([waits(1000, 5, 5), waits(1000, 5, 5)]))).toBeUndefined();
  expect(waitingFor(paceOf([waits(1000, 5, 5)]))).toBeUndefined();
});

test("progress is put together from the counters and the data plane", () => {
  const tally = new Tally();
  tally.listed(2, 30, true);
  tally.outcome("copied", 10);
  tally.retried("server");
  tally.limited(1);
  tally.inFlight(3);
  const stats = { receivedBytes: 12, writtenBytes: 11, sourceSeconds: 2, diskSeconds: 3, bufferBytes: 4 };
  expect(progressOf({ phase: "copying", tally: tally.snapshot(), stats, limitBytesPerSecond: 50 })).toEqual({
    phase: "copying",
    listed: { objects: 2, bytes: 30 },
    listingComplete: true,
    copied: { objects: 1, bytes: 10 },
    skipped: { objects: 0, bytes: 0 },
    failed: { objects: 0, bytes: 0 },
    receivedBytes: 12,
    writtenBytes: 11,
    inFlight: 3,
    bufferBytes: 4,
    limitBytesPerSecond: 50,
    waits: { sourceSeconds: 2, limiterSeconds: 1, diskSeconds: 3 },
    retried: 1,
  });
});

test("the document has null where a value is not known yet", () => {
  const early = JSON.parse(JSON.stringify(progressDocument(paceOf([progressWith()]))));
  expect(early).toMatchObject({ ratio: null, etaSeconds: null, bytesPerSecond: null, limitBytesPerSecond: null });
  const late = progressDocument(paceOf([{ ...half, copied: { objects: 4, bytes: 4_000_000 } }, half]));
  expect(late).toMatchObject({ phase: "copying", objectsPerSecond: 1, waitingFor: null });
});
