import fc from "fast-check";
import { expect, test } from "vitest";
import { Admission, type Permit } from "../../src/engine/admission.ts";
import { onePool } from "../support/buffer-pools.ts";
import { seededRandom, turn } from "../support/fake-clock.ts";

const never = new AbortController().signal;

test("requests and their buffers never exceed their limits, everybody is served, and nothing leaks", async () => {
  const request = fc.record({ owner: fc.nat(4), bytes: fc.integer({ min: 0, max: 10 }), leaves: fc.nat(9) });
  await fc.assert(
    fc.asyncProperty(fc.array(request, { maxLength: 60 }), fc.nat(), async (asked, seed) => {
      const random = seededRandom(seed);
      const admission = new Admission(4, onePool(10));
      const owners = [{}, {}, {}, {}, {}];
      let bytesOpen = 0;
      let served = 0;
      const work = asked.map(async ({ owner, bytes, leaves }) => {
        const leave = new AbortController();
        const acquired = admission.acquire(owners[owner] ?? {}, bytes, leave.signal);
        if (leaves === 0) setImmediate(() => leave.abort(new Error("left")));
        try {
          using permit = await acquired;
          bytesOpen += bytes;
          expect(admission.open).toBeLessThanOrEqual(4);
          expect(bytesOpen).toBeLessThanOrEqual(10);
          for (let turns = Math.floor(random() * 4); turns > 0; turns--) await turn();
          if (random() < 0.2) admission.throttled(permit);
          else admission.succeeded();
          bytesOpen -= bytes;
        } catch (error) {
          expect(error).toEqual(new Error("left"));
        }
        served++;
      });
      await Promise.all(work);
      expect(served).toBe(asked.length);
      expect(admission.open).toBe(0);
      using all = await admission.acquire({}, 10, never);
      expect(all.sequence).toBeGreaterThanOrEqual(0);
    }),
    { numRuns: 200 },
  );
});

/** Fills the only place, queues requests of the owners, and tells in which order they are served. */
async function orderOf(names: readonly string[]): Promise<string> {
  const admission = new Admission(1, onePool(10));
  const owners = new Map([...new Set(names)].map((name) => [name, {}]));
  const first = await admission.acquire({}, 1, never);
  let order = "";
  const work = names.map(async (name) => {
    using _permit = await admission.acquire(owners.get(name) ?? {}, 1, never);
    order += name;
    await turn();
  });
  first[Symbol.dispose]();
  await Promise.all(work);
  return order;
}

test("owners take turns, each first come, first served", async () => {
  expect(await orderOf([..."aaaaabbc"])).toBe("abcabaaa");
});

test("a request that needs many buffers is not passed by for ever", async () => {
  const admission = new Admission(10, onePool(10));
  const small = await Promise.all(Array.from({ length: 10 }, () => admission.acquire({}, 1, never)));
  let large: Permit | undefined;
  const waiting = admission.acquire({}, 10, never).then((permit) => {
    large = permit;
  });
  const late = admission.acquire({}, 1, never);
  for (const permit of small) {
    expect(large).toBeUndefined();
    permit[Symbol.dispose]();
    await turn();
  }
  await waiting;
  expect(admission.open).toBe(1);
  large?.[Symbol.dispose]();
  (await late)[Symbol.dispose]();
  expect(admission.open).toBe(0);
});

test("when a large request at the head leaves, the small ones behind it go on at once", async () => {
  const admission = new Admission(10, onePool(10));
  using _held = await admission.acquire({}, 5, never);
  const leave = new AbortController();
  const large = admission.acquire({}, 10, leave.signal);
  let served = false;
  const small = admission.acquire({}, 1, never).then((permit) => {
    served = true;
    return permit;
  });
  leave.abort(new Error("left"));
  await expect(large).rejects.toThrow("left");
  await turn();
  expect(served).toBe(true);
  (await small)[Symbol.dispose]();
});

test("a request that can never fit is a bug", async () => {
  await expect(new Admission(1, onePool(10)).acquire({}, 11, never)).rejects.toThrow(RangeError);
});

const twoPools = [
  { largestBytes: 1, bytes: 4 },
  { largestBytes: 8, bytes: 16 },
];

test("small requests go on while large ones fill and await their own pool", async () => {
  const admission = new Admission(100, twoPools);
  const large = await Promise.all([admission.acquire({}, 8, never), admission.acquire({}, 8, never)]);
  let admitted = false;
  const waiting = admission.acquire({}, 2, never).then((permit) => {
    admitted = true;
    return permit;
  });
  const small = Array.from({ length: 4 }, () => admission.tryAcquire(1));
  expect(small.every((permit) => permit !== undefined)).toBe(true);
  expect(admission.tryAcquire(1)).toBeUndefined();
  expect(admission.tryAcquire(2)).toBeUndefined();
  await turn();
  expect(admitted).toBe(false);
  large[0]?.[Symbol.dispose]();
  (await waiting)[Symbol.dispose]();
  expect(admission.open).toBe(5);
});

test("where places are scarce, pools take turns at them", async () => {
  const admission = new Admission(1, twoPools);
  const first = await admission.acquire({}, 1, never);
  let order = "";
  const work = [..."sssslll"].map(async (name) => {
    using _permit = await admission.acquire({}, name === "s" ? 1 : 8, never);
    order += name;
    await turn();
  });
  first[Symbol.dispose]();
  await Promise.all(work);
  expect(order).toMatch(/^(slslsl|lslsls)/);
});

test("an aborted signal gets no place", async () => {
  const admission = new Admission(1, onePool(10));
  await expect(admission.acquire({}, 1, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
  expect(admission.open).toBe(0);
});

test("a permit is given back once", async () => {
  const admission = new Admission(2, onePool(10));
  const permit = await admission.acquire({}, 1, never);
  using _other = await admission.acquire({}, 1, never);
  permit[Symbol.dispose]();
  permit[Symbol.dispose]();
  expect(admission.open).toBe(1);
});

test("throttling halves the places once a round, and a round of successes adds one", async () => {
  const admission = new Admission(64, onePool(64));
  const round = await Promise.all(Array.from({ length: 64 }, () => admission.acquire({}, 1, never)));
  for (const permit of round) admission.throttled(permit);
  expect(admission.limit).toBe(32);
  for (const permit of round) permit[Symbol.dispose]();
  const next = await admission.acquire({}, 1, never);
  admission.throttled(next);
  expect(admission.limit).toBe(16);
  for (let i = 0; i < 16; i++) admission.succeeded();
  expect(admission.limit).toBe(16);
  admission.succeeded();
  expect(admission.limit).toBe(17);
  for (let i = 0; i < 10_000; i++) admission.succeeded();
  expect(admission.limit).toBe(64);
  next[Symbol.dispose]();
});

test("throttling leaves at least one place", async () => {
  const admission = new Admission(4, onePool(4));
  for (let i = 0; i < 10; i++) {
    using permit = await admission.acquire({}, 1, never);
    admission.throttled(permit);
  }
  expect(admission.limit).toBe(1);
});

test("a success after a cut admits who waits for the new place", async () => {
  const admission = new Admission(2, onePool(10));
  const first = await admission.acquire({}, 1, never);
  admission.throttled(first);
  let served = false;
  const second = admission.acquire({}, 1, never).then((permit) => {
    served = true;
    return permit;
  });
  await turn();
  expect(served).toBe(false);
  admission.succeeded();
  (await second)[Symbol.dispose]();
  first[Symbol.dispose]();
});
