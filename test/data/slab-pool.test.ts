import fc from "fast-check";
import { expect, test } from "vitest";
import { createCrc64Kernel, kernelBytes } from "../../src/checksum/crc64.ts";
import { type Slab, SlabPool } from "../../src/data/slab-pool.ts";
import { turn } from "../support/fake-clock.ts";

const slabBytes = 4096;

function makePool(count: number): SlabPool {
  return new SlabPool(createCrc64Kernel(count * slabBytes).memory, kernelBytes, { slabBytes, count });
}

test("slabs lie side by side, page-aligned, and do not overlap", async () => {
  const slabs = await makePool(8).lease(8);
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
  const held = await pool.lease(2);
  const served: string[] = [];
  const ask = async (name: string, count: number): Promise<Slab[]> => {
    const slabs = await pool.lease(count);
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

test("more than there are is a bug", async () => {
  await expect(makePool(2).lease(3)).rejects.toThrow(RangeError);
});

test("no slab is ever held twice, everybody is served in order, and all come back", async () => {
  const requests = fc.array(fc.record({ count: fc.integer({ min: 1, max: 4 }), turns: fc.nat(4) }), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(requests, async (asked) => {
      const pool = makePool(4);
      const held = new Set<Slab>();
      const order: number[] = [];
      const work = asked.map(async ({ count, turns }, i) => {
        const slabs = await pool.lease(count);
        order.push(i);
        expect(slabs).toHaveLength(count);
        for (const slab of slabs) {
          expect(held.has(slab)).toBe(false);
          held.add(slab);
        }
        expect(pool.usedBytes).toBeGreaterThanOrEqual(held.size * slabBytes);
        for (let left = turns; left > 0; left--) await turn();
        for (const slab of slabs) held.delete(slab);
        pool.release(slabs);
      });
      await Promise.all(work);
      expect(order).toEqual(asked.map((_, i) => i));
      expect(pool.usedBytes).toBe(0);
      expect(await pool.lease(4)).toHaveLength(4);
    }),
    { numRuns: 100 },
  );
});
