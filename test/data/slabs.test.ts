import { expect, test } from "vitest";
import { crc64, kernelBytes } from "../../src/checksum/crc64.ts";
import { largestWholeBytes, leaseBytes, Slabs, slabPools } from "../../src/data/slabs.ts";
import { turn } from "../support/fake-clock.ts";

const kib = 1024;
const mib = 1024 * kib;

test.each([
  [16, 0, 64 * kib, 1],
  [16, 1, 64 * kib, 1],
  [16, 64 * kib, 64 * kib, 1],
  [16, 64 * kib + 1, mib / 2, 1],
  [16, mib / 2 + 1, mib, 1],
  [16, mib, mib, 1],
  [16, mib + 1, 2 * mib, 2],
  [16, 8 * mib, 2 * mib, 2],
  [64, 64 * kib, 64 * kib, 1],
  [64, 64 * kib + 1, mib, 1],
  [64, mib, mib, 1],
  [64, mib + 1, 2 * mib, 1],
  [64, 2 * mib + 1, 4 * mib, 2],
  [64, 8 * mib, 4 * mib, 2],
])(
  "with %i MiB a body of %i bytes takes %i bytes of buffers in %i slabs, and gives them back",
  async (size, body, bytes, count) => {
    const slabs = new Slabs(size * mib);
    expect(leaseBytes(body, size * mib)).toBe(bytes);
    expect(slabs.cost(body)).toBe(bytes);
    {
      using lease = await slabs.lease(body);
      expect(lease.slabs).toHaveLength(count);
      expect(slabs.usedBytes).toBe(bytes);
    }
    expect(slabs.usedBytes).toBe(0);
  },
);

test.each([4, 64])("with %i MiB what is received in one piece fits one slab", async (size) => {
  const slabs = new Slabs(size * mib);
  using lease = await slabs.lease(largestWholeBytes);
  expect(lease.slabs[0]?.bytes.length).toBeGreaterThanOrEqual(largestWholeBytes);
});

/** Leases of one size until no more come at once. */
async function exhaust(slabs: Slabs, bodyBytes: number) {
  const leases = [];
  for (;;) {
    const lease = await Promise.race([slabs.lease(bodyBytes), turn()]);
    if (!lease) return leases;
    leases.push(lease);
  }
}

test.each([4, 7, 16, 64, 100])(
  "of %i MiB no more is taken, small bodies have a quarter at most, and nothing overlaps",
  async (size) => {
    const slabs = new Slabs(size * mib);
    const small = await exhaust(slabs, 1);
    const large = await exhaust(slabs, mib);
    expect(small.length * 64 * kib).toBeLessThanOrEqual((size * mib) / 4);
    expect(small.length).toBeLessThanOrEqual(256);
    expect(slabPools(size * mib)).toEqual([
      { largestBytes: slabs.cost(1), bytes: small.length * 64 * kib },
      { largestBytes: slabs.cost(8 * mib), bytes: large.length * mib },
    ]);
    expect(slabs.usedBytes).toBeLessThanOrEqual(size * mib);
    expect(slabs.usedBytes).toBeGreaterThan(size * mib - slabs.cost(8 * mib) / 2);
    const all = [...small, ...large].flatMap((lease) => lease.slabs).toSorted((a, b) => a.offset - b.offset);
    let end = kernelBytes;
    for (const { offset, bytes } of all) {
      expect(offset).toBe(end);
      end = offset + bytes.length;
    }
    expect(end).toBeLessThanOrEqual(slabs.kernel.memory.buffer.byteLength);
  },
);

test("even the least memory has room for a small and a large body at the same time", async () => {
  const slabs = new Slabs(0);
  using small = await slabs.lease(1);
  using large = await slabs.lease(8 * mib);
  expect(small.slabs.length + large.slabs.length).toBe(3);
});

test("the kernel works on slabs where they lie", async () => {
  const slabs = new Slabs(4 * mib);
  using lease = await slabs.lease(100_000);
  const [slab] = lease.slabs;
  const content = Uint8Array.from({ length: 100_000 }, (_, i) => i * 31);
  slab?.bytes.set(content);
  expect(slabs.kernel.update(0n, slab?.offset ?? 0, content.length)).toBe(crc64(content));
});
