import fc from "fast-check";
import { expect, test } from "vitest";
import { crc64 } from "../../src/checksum/crc64.ts";
import { Slabs } from "../../src/data/slabs.ts";
import { packWholes, unpackWholes } from "../../src/data/thread-protocol.ts";
import { WholeCopy } from "../../src/data/whole-copy.ts";
import { CopyError } from "../../src/errors.ts";
import type { ObjectHead, SafePath, WholeRequest } from "../../src/types.ts";
import type { TargetWriter } from "../../src/volume/target-writer.ts";

const slabs = new Slabs(4 * 2 ** 20);

interface Setup {
  readonly sizeBytes: number;
  readonly write?: (bytes: Uint8Array) => void;
  readonly prefersPool?: boolean;
  readonly writer?: object;
}

function begin({ sizeBytes, write = () => {}, prefersPool = false, writer }: Setup) {
  const simple = {
    prefersPool,
    writeWhole: (_: unknown, bytes: Uint8Array) => write(bytes),
    writeWholePooled: async (_: unknown, bytes: Uint8Array) => write(bytes),
  };
  const totals = { receivedBytes: 0, writtenBytes: 0, sourceSeconds: 0, diskSeconds: 0 };
  const ends: unknown[] = [];
  const watcher = {
    copied: (index: number, proof: string) => ends.push([index, proof, slabs.usedBytes]),
    failed: (index: number, error: unknown) => ends.push([index, error, slabs.usedBytes]),
  };
  const target = { path: "a" as SafePath, sizeBytes, modifiedMs: 0, version: "" };
  const request: WholeRequest = { key: "k", etag: "e", target };
  const lease = slabs.tryLease(sizeBytes);
  if (!lease) throw new Error("no slab is free");
  const parts = { slabs, totals, writer: (writer ?? simple) as TargetWriter }; // what a whole object needs of it
  const copy = new WholeCopy(parts, request, { index: 3, watcher }, lease);
  const fill = (content: Uint8Array, pieceBytes: () => number): void => {
    for (let sent = 0; sent < content.length; ) {
      const memory = copy.buffer();
      expect(memory.length).toBe(content.length - sent);
      const piece = content.subarray(sent, sent + pieceBytes());
      memory.set(piece);
      copy.filled(piece.length);
      sent += piece.length;
    }
  };
  return { copy, totals, ends, fill };
}

function headOf(content: Uint8Array, crc = crc64(content)): ObjectHead {
  return { sizeBytes: content.length, etag: "e", crc64: crc, contentMd5: undefined, requestId: undefined };
}

for (const prefersPool of [false, true]) {
  test(`a body in any pieces is written as it came, once (${prefersPool ? "pooled" : "in this thread"})`, async () => {
    const pieces = fc.infiniteStream(fc.integer({ min: 1, max: 300 }));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), pieces, async (content, sizes) => {
        const written: Buffer[] = [];
        const write = (bytes: Uint8Array) => written.push(Buffer.from(bytes));
        const { copy, ends, fill, totals } = begin({ sizeBytes: content.length, write, prefersPool });
        fill(content, () => sizes.next().value);
        copy.ended(headOf(content));
        await Promise.resolve();
        expect(written).toEqual([Buffer.from(content)]);
        expect(ends).toEqual([[3, "crc64", 0]]);
        expect(totals).toMatchObject({ receivedBytes: content.length, writtenBytes: content.length });
      }),
    );
  });
}

test("a body that is not what the service says is never written, and its memory is free again", () => {
  const content = Buffer.from("some bytes");
  const { copy, ends, fill, totals } = begin({
    sizeBytes: content.length,
    write: () => {
      throw new Error("written");
    },
  });
  fill(content, () => 4);
  copy.ended(headOf(content, 1n));
  expect(ends).toEqual([[3, expect.objectContaining({ kind: "corrupt" }), 0]]);
  expect(totals).toMatchObject({ receivedBytes: 10, writtenBytes: 0 });
});

test("what the disk refuses is the object's end, and its memory is free again", async () => {
  for (const prefersPool of [false, true]) {
    const full = new CopyError("volume-full", "no space");
    const { copy, ends, totals } = begin({
      sizeBytes: 0,
      prefersPool,
      write: () => {
        throw full;
      },
    });
    copy.ended(headOf(new Uint8Array()));
    await new Promise(setImmediate);
    expect(ends).toEqual([[3, full, 0]]);
    expect(totals.writtenBytes).toBe(0);
  }
});

test("an object is written once, though its write shows that others had better be pooled", () => {
  let writes = 0;
  const writer = {
    get prefersPool() {
      return writes > 0;
    },
    writeWhole: () => writes++,
    writeWholePooled: async () => writes++,
  };
  const { copy, ends } = begin({ sizeBytes: 0, writer });
  copy.ended(headOf(new Uint8Array()));
  expect(writes).toBe(1);
  expect(ends).toEqual([[3, "crc64", 0]]);
});

test("a request that failed counts what it received", () => {
  const { copy, ends, totals } = begin({ sizeBytes: 10 });
  const error = new CopyError("interrupted", "reset", { receivedBytes: 7 });
  copy.failed(error);
  expect(ends).toEqual([[3, error, 0]]);
  expect(totals.receivedBytes).toBe(7);
});

test("whole objects cross to a thread as they are, whatever is in their names", () => {
  const request = fc.record({
    key: fc.string({ unit: "binary" }),
    etag: fc.string(),
    target: fc.record({
      path: fc.string({ unit: "grapheme" }).map((path) => path as SafePath),
      sizeBytes: fc.maxSafeNat(),
      modifiedMs: fc.maxSafeNat(),
      version: fc.string(),
    }),
  });
  fc.assert(
    fc.property(fc.array(request), (requests) => {
      const message = structuredClone(packWholes(requests, 5, 7));
      expect(message).toMatchObject({ kind: "wholes", firstId: 5, signal: 7 });
      expect(unpackWholes(message)).toEqual(requests);
    }),
  );
});
