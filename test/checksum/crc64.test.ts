import { randomFillSync } from "node:crypto";
import fc from "fast-check";
import { createCRC64 } from "hash-wasm";
import { describe, expect, test } from "vitest";
import { combineCrc64, crc64, createCrc64Kernel, kernelBytes } from "../../src/checksum/crc64.ts";
import { prefixCrcs, prefixCrcsBitwise, shiftCrc } from "./reference.ts";

const MiB = 2 ** 20;
const kernel = createCrc64Kernel(8 * MiB);
const data = randomFillSync(new Uint8Array(kernel.memory.buffer, kernelBytes));
const peer = await createCRC64();
// Beyond every length at which the kernel changes its way: 1,536, 22 KiB, and a second block at 41 KiB.
const everyWayBytes = 45_000;

function peerCrc(bytes: Uint8Array): bigint {
  peer.init();
  peer.update(bytes);
  return BigInt(`0x${peer.digest()}`);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

const crcs = () => fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

describe("the CRC of bytes", () => {
  test.each([
    ["", 0n],
    ["123456789", 0x995dc9bbdf1939fan],
    ["This is a test of the emergency broadcast system.", 0x27db187fc15bbc72n],
    ["123456789This is a test of the emergency broadcast system.", 0x6a7aa19fcbf48688n],
  ])("of %j is the published one", (text, crc) => {
    expect(crc64(ascii(text))).toBe(crc);
  });

  test("of every length up to 45,000 equals the bitwise definition and hash-wasm", () => {
    const expected = prefixCrcsBitwise(data.subarray(0, everyWayBytes));
    const wrong: number[] = [];
    for (const [length, crc] of expected.entries()) {
      if (kernel.update(0n, kernelBytes, length) !== crc || peerCrc(data.subarray(0, length)) !== crc)
        wrong.push(length);
    }
    expect(wrong).toEqual([]);
  });

  test.each(Array.from({ length: 16 }, (_, shift) => shift))("goes on from any CRC at alignment %i", (shift) => {
    const start = kernelBytes + 4_096 + shift;
    const crc = randomFillSync(new BigUint64Array(1))[0] ?? 0n;
    const expected = prefixCrcs(data.subarray(start - kernelBytes, start - kernelBytes + everyWayBytes), crc);
    const wrong: number[] = [];
    for (const [length, prefix] of expected.entries()) {
      // All short lengths, then in strides of a prime, so that each alignment meets every tail.
      if ((length < 2_500 || length % 37 === 0) && kernel.update(crc, start, length) !== prefix) wrong.push(length);
    }
    expect(wrong).toEqual([]);
  });

  test("of several megabytes equals hash-wasm", () => {
    const range = fc.record({ start: fc.nat(2 * MiB), length: fc.nat(6 * MiB) });
    fc.assert(
      fc.property(range, ({ start, length }) => {
        const crc = peerCrc(data.subarray(start, start + length));
        expect(kernel.update(0n, kernelBytes + start, length)).toBe(crc);
      }),
      { numRuns: 60 },
    );
  });

  test("does not depend on where the bytes are split", () => {
    const whole = kernel.update(0n, kernelBytes, MiB);
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(MiB), { maxLength: 40 }), (cuts) => {
        const ends = [...cuts.sort((a, b) => a - b), MiB];
        let crc = 0n;
        let start = 0;
        for (const end of ends) {
          crc = kernel.update(crc, kernelBytes + start, end - start);
          start = end;
        }
        expect(crc).toBe(whole);
      }),
    );
  });

  test("leaves the data as it was", () => {
    const before = data.slice(0, MiB);
    kernel.update(0n, kernelBytes, MiB);
    kernel.update(0n, kernelBytes + 1, 4_096);
    expect(Buffer.compare(before, data.subarray(0, MiB))).toBe(0);
  });

  test("is the same for bytes outside a kernel's memory, in any number of chunks", () => {
    for (const length of [0, 1, 262_143, 262_144, 262_145, 3 * MiB + 5]) {
      const bytes = data.slice(7, 7 + length);
      expect(crc64(bytes)).toBe(peerCrc(bytes));
      expect(crc64(bytes.subarray(length >> 1), crc64(bytes.subarray(0, length >> 1)))).toBe(peerCrc(bytes));
    }
  });
});

describe("two CRCs combined", () => {
  test("are the CRC of both byte strings in a row", () => {
    fc.assert(
      fc.property(fc.nat(200_000), fc.oneof(fc.nat(40), fc.nat(200_000)), (firstBytes, secondBytes) => {
        const first = kernel.update(0n, kernelBytes, firstBytes);
        const second = kernel.update(0n, kernelBytes + firstBytes, secondBytes);
        const both = kernel.update(0n, kernelBytes, firstBytes + secondBytes);
        expect(kernel.combine(first, second, secondBytes)).toBe(both);
        expect(combineCrc64(first, second, secondBytes)).toBe(both);
      }),
    );
  });

  test("are the first alone if the second is empty, the second alone if the first is", () => {
    const crc = kernel.update(0n, kernelBytes, 1_000);
    expect(combineCrc64(crc, 0n, 0)).toBe(crc);
    expect(combineCrc64(0n, crc, 1_000)).toBe(crc);
  });

  test("follow the definition for lengths up to the greatest safe integer", () => {
    fc.assert(
      fc.property(crcs(), crcs(), fc.maxSafeNat(), (first, second, length) => {
        expect(combineCrc64(first, second, length)).toBe(shiftCrc(first, BigInt(length)) ^ second);
      }),
    );
    const greatest = Number.MAX_SAFE_INTEGER;
    expect(combineCrc64(1n, 0n, greatest)).toBe(shiftCrc(1n, BigInt(greatest)));
  });

  test("can be grouped in any way", () => {
    const half = fc.nat({ max: 2 ** 31 - 1 }).map((n) => n * 2 ** 21);
    fc.assert(
      fc.property(crcs(), crcs(), crcs(), half, half, (a, b, c, bBytes, cBytes) => {
        const left = combineCrc64(combineCrc64(a, b, bBytes), c, cBytes);
        const right = combineCrc64(a, combineCrc64(b, c, cBytes), bBytes + cBytes);
        expect(left).toBe(right);
      }),
    );
  });
});

describe("a kernel", () => {
  test("has the room asked for behind its own part", () => {
    for (const dataBytes of [0, 1, 65_536, 65_537]) {
      const { memory } = createCrc64Kernel(dataBytes);
      expect(memory.buffer.byteLength).toBeGreaterThanOrEqual(kernelBytes + dataBytes);
    }
    expect(kernelBytes % 65_536).toBe(0);
  });

  test.each([
    [kernelBytes - 1, 1],
    [kernelBytes, 65_537],
    [kernelBytes + 65_536, 1],
    [kernelBytes, -1],
    [kernelBytes + 0.5, 1],
    [Number.NaN, 1],
  ])("refuses data at %d, length %d", (offset, length) => {
    expect(() => createCrc64Kernel(65_536).update(0n, offset, length)).toThrow(RangeError);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])("refuses a combination over %d bytes", (length) => {
    expect(() => combineCrc64(0n, 0n, length)).toThrow(RangeError);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 32])("refuses %d bytes of data", (dataBytes) => {
    expect(() => createCrc64Kernel(dataBytes)).toThrow(RangeError);
  });
});
