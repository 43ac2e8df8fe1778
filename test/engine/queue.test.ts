import fc from "fast-check";
import { expect, test } from "vitest";
import { BoundedQueue } from "../../src/engine/queue.ts";
import { seededRandom, turn } from "../support/fake-clock.ts";

test("every item comes out once and in order, and no more than the capacity is queued", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(40), fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 }), fc.nat(), check),
    { numRuns: 150 },
  );

  async function check(items: number, capacity: number, takers: number, seed: number): Promise<void> {
    const random = seededRandom(seed);
    const pause = async (): Promise<void> => {
      if (random() < 0.5) await turn();
    };
    const queue = new BoundedQueue<number>(capacity);
    const taken: number[] = [];
    const produce = async (): Promise<void> => {
      for (let item = 0; item < items; item++) {
        await queue.put(item);
        expect(queue.length).toBeLessThanOrEqual(capacity);
        await pause();
      }
      queue.close();
    };
    const consume = async (): Promise<void> => {
      for (let item = await queue.take(); item !== undefined; item = await queue.take()) {
        taken.push(item);
        await pause();
      }
    };
    await Promise.all([produce(), ...Array.from({ length: takers }, consume)]);
    expect(taken).toEqual(Array.from({ length: items }, (_, i) => i));
  }
});

test("the producer goes on when the queue is half empty", async () => {
  const queue = new BoundedQueue<number>(4);
  for (const item of [1, 2, 3]) await queue.put(item);
  let resumed = false;
  const full = queue.put(4)?.then(() => {
    resumed = true;
  });
  await queue.take();
  await turn();
  expect(resumed).toBe(false);
  await queue.take();
  await full;
});

test("a failure reaches those who wait and those who come later, before any item left over", async () => {
  const queue = new BoundedQueue<number>(4);
  const waiting = [queue.take(), queue.take()];
  queue.close({ error: new Error("listing failed") });
  for (const take of waiting) await expect(take).rejects.toThrow("listing failed");
  await queue.put(1);
  await expect(queue.take()).rejects.toThrow("listing failed");
});

test("the first failure stays, and an end does not hide it", async () => {
  const queue = new BoundedQueue<number>(4);
  queue.close();
  queue.close({ error: new Error("first") });
  queue.close({ error: new Error("second") });
  await expect(queue.take()).rejects.toThrow("first");
});

test("a producer that waits for room is released by the end, and never waits again", async () => {
  const queue = new BoundedQueue<number>(1);
  const full = queue.put(1);
  queue.close();
  await full;
  await queue.put(2);
  await queue.put(3);
});

test("it is settled when it is full", async () => {
  const queue = new BoundedQueue<number>(2);
  let settled = false;
  const waiting = queue.settled().then(() => {
    settled = true;
  });
  await queue.put(1);
  await turn();
  expect(settled).toBe(false);
  void queue.put(2);
  await waiting;
  await queue.settled();
});

test.each([undefined, { error: new Error("failed") }])("it is settled when it is closed (%o)", async (failure) => {
  const queue = new BoundedQueue<number>(2);
  const waiting = queue.settled();
  queue.close(failure);
  await waiting;
  await queue.settled();
});
