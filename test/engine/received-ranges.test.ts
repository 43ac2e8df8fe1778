import fc from "fast-check";
import { expect, test } from "vitest";
import { crc64 } from "../../src/checksum/crc64.ts";
import { ReceivedRanges } from "../../src/engine/received-ranges.ts";
import type { ObjectHead } from "../../src/types.ts";
import { planRanges } from "../support/plan-ranges.ts";

function headOf(changes: Partial<ObjectHead> = {}): ObjectHead {
  return {
    sizeBytes: 0,
    etag: '"v"',
    crc64: 1n,
    contentMd5: undefined,
    requestId: undefined,
    ...changes,
  };
}

test("in whatever order ranges arrive, their CRC is the CRC of all bytes", () => {
  const object = fc.uint8Array({ minLength: 1, maxLength: 300 });
  fc.assert(
    fc.property(object, fc.integer({ min: 1, max: 50 }), fc.infiniteStream(fc.nat()), (bytes, rangeBytes, chance) => {
      const order = [...planRanges(bytes.length, rangeBytes)].map((range) => ({ range, rank: chance.next().value }));
      const received = new ReceivedRanges("a");
      for (const { range } of order.toSorted((a, b) => a.rank - b.rank)) {
        const part = bytes.subarray(range.start, range.start + range.length);
        received.add(range, { crc64: crc64(part), head: headOf() });
      }
      expect(received.whole(bytes.length).crc64).toBe(crc64(bytes));
    }),
  );
});

test.each([{ crc64: 2n }, { crc64: undefined }, { etag: '"w"' }])(
  "answers that contradict each other (%o) are a change, told at once",
  (changes) => {
    const received = new ReceivedRanges("a");
    received.add({ start: 0, length: 1 }, { crc64: 0n, head: headOf() });
    expect(() => received.add({ start: 1, length: 1 }, { crc64: 0n, head: headOf(changes) })).toThrow(
      expect.objectContaining({ kind: "changed" }),
    );
  },
);

test("request IDs differ and contradict nothing", () => {
  const received = new ReceivedRanges("a");
  received.add({ start: 0, length: 1 }, { crc64: 0n, head: headOf({ requestId: "1" }) });
  received.add({ start: 1, length: 1 }, { crc64: 0n, head: headOf({ requestId: "2" }) });
  expect(received.whole(2).head?.requestId).toBe("1");
});

test("an object with a gap is not whole", () => {
  const received = new ReceivedRanges("a");
  expect(() => received.whole(1)).toThrow("not complete");
  received.add({ start: 0, length: 4 }, { crc64: 0n, head: headOf() });
  received.add({ start: 8, length: 4 }, { crc64: 0n, head: headOf() });
  expect(() => received.whole(12)).toThrow("not complete");
});
