import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { Limiter } from "../../src/engine/limiter.ts";
import { rangeBytes } from "../../src/engine/range-size.ts";
import { drive, FakeClock, turn } from "../support/fake-clock.ts";

const bytesPerSecond = 1_000_000;
const never = new AbortController().signal;

interface Grant {
  readonly atMs: number;
  readonly bytes: number;
}

/** The most that was granted in any second that begins with a grant. */
function worstSecond(grants: readonly Grant[]): number {
  let worst = 0;
  for (const { atMs } of grants) {
    const within = grants.filter((grant) => grant.atMs >= atMs && grant.atMs < atMs + 1000);
    worst = Math.max(
      worst,
      within.reduce((sum, { bytes }) => sum + bytes, 0),
    );
  }
  return worst;
}

const requests = fc.array(
  fc.record({
    gapMs: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(30), fc.nat(3000)),
    bytes: fc.integer({ min: 1, max: rangeBytes(8 * 2 ** 20, bytesPerSecond) }),
    leavesAfterMs: fc.option(fc.nat(2000), { freq: 5 }),
  }),
  { minLength: 1, maxLength: 300 },
);

test("no second sees more than 5 % over the limit, whatever is asked for and whoever leaves", async () => {
  await fc.assert(
    fc.asyncProperty(requests, async (asked) => {
      const clock = new FakeClock();
      const limiter = new Limiter(bytesPerSecond, clock);
      const grants: Grant[] = [];
      const ask = async ({ bytes, leavesAfterMs }: (typeof asked)[number]): Promise<void> => {
        const leave = new AbortController();
        const leaving = async (ms: number): Promise<void> => {
          await clock.sleep(ms, never);
          leave.abort(new Error("left"));
        };
        if (leavesAfterMs !== null) void leaving(leavesAfterMs);
        await limiter.take(bytes, leave.signal);
        grants.push({ atMs: clock.nowMs(), bytes });
      };
      const all = async (): Promise<void> => {
        const open: Promise<unknown>[] = [];
        for (const request of asked) {
          if (request.gapMs > 0) await clock.sleep(request.gapMs, never);
          open.push(ask(request).catch(() => {}));
        }
        await Promise.all(open);
      };
      await drive(clock, all());
      expect(worstSecond(grants)).toBeLessThanOrEqual(bytesPerSecond * 1.05);
    }),
    { numRuns: 60 },
  );
});

/** Many lanes that each take, receive and ask again; `lost` requests end without a byte. */
async function saturate(lanes: number, seconds: number, lost: (n: number) => boolean) {
  const clock = new FakeClock();
  const limiter = new Limiter(bytesPerSecond, clock);
  const received: Grant[] = [];
  let n = 0;
  const lane = async (): Promise<void> => {
    while (clock.nowMs() < seconds * 1000) {
      await limiter.take(16_384, never);
      if (lost(n++)) await clock.sleep(300, never);
      else received.push({ atMs: clock.nowMs(), bytes: 16_384 });
    }
  };
  await drive(clock, Promise.all(Array.from({ length: lanes }, lane)));
  return received;
}

test("a saturated limit is used to within 5 %", async () => {
  const received = await saturate(16, 20, () => false);
  const total = received.reduce((sum, { bytes }) => sum + bytes, 0);
  expect(total / 20).toBeGreaterThan(bytesPerSecond * 0.95);
  expect(total / 20).toBeLessThan(bytesPerSecond * 1.05);
  expect(worstSecond(received)).toBeLessThanOrEqual(bytesPerSecond * 1.05);
});

test("what falls due within 5 ms is granted in one wake-up", async () => {
  const clock = new FakeClock();
  const sleep = vi.spyOn(clock, "sleep");
  const limiter = new Limiter(bytesPerSecond, clock);
  const takes = Array.from({ length: 1000 }, () => limiter.take(1000, never));
  await drive(clock, Promise.all(takes));
  expect(clock.nowMs()).toBeLessThan(1000);
  expect(sleep.mock.calls.length).toBeLessThanOrEqual(1000 / 5);
});

test("it is ready while there are tokens and nobody waits", async () => {
  const clock = new FakeClock();
  const limiter = new Limiter(1000, clock);
  expect(limiter.ready).toBe(true);
  await limiter.take(100, never);
  expect(limiter.ready).toBe(false);
  const waiting = limiter.take(100, never);
  await clock.advance(99);
  expect(limiter.ready).toBe(false);
  await drive(clock, waiting);
  await clock.advance(100);
  expect(limiter.ready).toBe(true);
});

test("bytes that were granted and never came do not come on top later", async () => {
  const received = await saturate(64, 20, (n) => n % 100 < 60);
  expect(worstSecond(received)).toBeLessThanOrEqual(bytesPerSecond * 1.05);
});

test("whoever leaves the queue leaves its place to those behind", async () => {
  const clock = new FakeClock();
  const limiter = new Limiter(1000, clock);
  await limiter.take(1000, never);
  const leave = new AbortController();
  const left = Array.from({ length: 10 }, () => limiter.take(1000, leave.signal));
  for (const wait of left) wait.catch(() => {});
  const waited = limiter.take(1000, never);
  await turn();
  leave.abort(new Error("left"));
  await Promise.all(left.map((wait) => expect(wait).rejects.toThrow("left")));
  expect(await drive(clock, waited)).toBeLessThan(1100);
});

test("places are given first come, first served", async () => {
  const clock = new FakeClock();
  const limiter = new Limiter(1000, clock);
  const order: number[] = [];
  const takes = [500, 1, 900, 3, 70].map(async (bytes, i) => {
    await limiter.take(bytes, never);
    order.push(i);
  });
  await drive(clock, Promise.all(takes));
  expect(order).toEqual([0, 1, 2, 3, 4]);
});

test("an idle bucket keeps no more than 20 ms", async () => {
  const clock = new FakeClock();
  const limiter = new Limiter(1000, clock);
  await clock.advance(60_000);
  expect(await limiter.take(20, never)).toBe(0);
  expect(await drive(clock, limiter.take(1, never))).toBe(0);
  expect(await drive(clock, limiter.take(1, never))).toBeGreaterThan(0);
});

test("bytes that came unasked delay those that are asked for, also those that wait already", async () => {
  const clock = new FakeClock();
  const limiter = new Limiter(1000, clock);
  await limiter.take(100, never);
  const waiting = limiter.take(1, never);
  await turn();
  limiter.charge(500);
  expect(await drive(clock, waiting)).toBeGreaterThan(550);
});

test("a signal that is aborted already takes nothing", async () => {
  const clock = new FakeClock();
  const limiter = new Limiter(1000, clock);
  await expect(limiter.take(5000, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
  expect(await limiter.take(1, never)).toBe(0);
});
