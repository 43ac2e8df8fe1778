import fc from "fast-check";
import { expect, test } from "vitest";
import { createCrc64Kernel, kernelBytes } from "../../src/checksum/crc64.ts";
import { type Slab, type SlabLayout, SlabPool } from "../../src/data/slab-pool.ts";
import { turn } from "../support/fake-clock.ts";

const slabBytes = 8192;
const whole = (count: number): SlabLayout => ({ slabBytes, count });
const halves = (count: number): SlabLayout => ({ slabBytes: slabBytes / 2, count });

function makePool(count: number): SlabPool {
  return new SlabPool(createCrc64Kernel(count * slabBytes).memory, kernelBytes, { slabBytes, count });
}

test("slabs lie side by side, page-aligned, and do not overlap", async () => {
  const slabs = await makePool(8).lease(whole(8));
  const offsets = slabs.map(({ offset }) => offset).toSorted((a, b) => a - b);
  expect(offsets).toEqual(Array.from({ length: 8 }, (_, i) => kernelBytes + i * slabBytes));
  for (const { offset, bytes } of slabs) {
    expect(bytes.byteOffset).toBe(offset);
    expect(bytes.length).toBe(slabBytes);
    expect(offset % 4096).toBe(0);
  }
});

test("whoever asks for several gets all at once, and those behind wait their turn", async () => {
  const pool = makePool(3);
  const held = await pool.lease(whole(2));
  const served: string[] = [];
  const ask = async (name: string, count: number): Promise<Slab[]> => {
    const slabs = await pool.lease(whole(count));
    served.push(name);
    return slabs;
  };
  const three = ask("three", 3);
  const one = ask("one", 1);
  await turn();
  expect(served).toEqual([]); // one is free, but the first in the queue needs three
  pool.release(held.slice(0, 1));
  await turn();
  expect(served).toEqual([]);
  pool.release(held.slice(1));
  await turn();
  expect(served).toEqual(["three"]);
  pool.release(await three);
  pool.release(await one);
  expect(served).toEqual(["three", "one"]);
  expect(pool.usedBytes).toBe(0);
});

test.each([
  [3, whole(3)],
  [5, halves(5)],
])("more than there are is a bug", async (count, wanted) => {
  await expect(makePool(2).lease(wanted)).rejects.toThrow(`${count} slabs`);
});

test("two free halves of one slab are a slab again, whichever comes back first", async () => {
  const pool = makePool(1);
  for (const order of [(pair: Slab[]) => pair, (pair: Slab[]) => pair.toReversed()]) {
    const pair = await pool.lease(halves(2));
    expect(pair.map(({ bytes }) => bytes.length)).toEqual([slabBytes / 2, slabBytes / 2]);
    for (const half of order(pair)) {
      expect(pool.tryLease(whole(1))).toBeUndefined();
      pool.release([half]);
    }
    const again = pool.tryLease(whole(1)) ?? [];
    expect(again[0]?.bytes.length).toBe(slabBytes);
    pool.release(again);
  }
});

test("no byte is ever held twice, everybody is served in order, and all come back", async () => {
  const requests = fc.array(
    fc.record({ count: fc.integer({ min: 1, max: 4 }), divisor: fc.constantFrom(1, 2), turns: fc.nat(4) }),
    { maxLength: 40 },
  );
  await fc.assert(
    fc.asyncProperty(requests, async (asked) => {
      const pool = makePool(4);
      const held = new Set<Slab>();
      const order: number[] = [];
      const work = asked.map(async ({ count, divisor, turns }, i) => {
        const slabs = await pool.lease({ slabBytes: slabBytes / divisor, count });
        order.push(i);
        expect(slabs).toHaveLength(count);
        for (const slab of slabs) {
          expect(slab.bytes.length).toBe(slabBytes / divisor);
          expect([...held].filter((other) => overlap(other, slab))).toEqual([]);
          held.add(slab);
        }
        expect(pool.usedBytes).toBeGreaterThanOrEqual([...held].reduce((sum, { bytes }) => sum + bytes.length, 0));
        for (let left = turns; left > 0; left--) await turn();
        for (const slab of slabs) held.delete(slab);
        pool.release(slabs);
      });
      await Promise.all(work);
      expect(order).toEqual(asked.map((_, i) => i));
      expect(pool.usedBytes).toBe(0);
      expect(await pool.lease(whole(4))).toHaveLength(4);
    }),
    { numRuns: 100 },
  );
});

function overlap(one: Slab, other: Slab): boolean {
  return one.offset < other.offset + other.bytes.length && other.offset < one.offset + one.bytes.length;
}
