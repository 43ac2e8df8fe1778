import fc from "fast-check";
import { expect, test } from "vitest";
import { crc64, createCrc64Kernel, kernelBytes } from "../../src/checksum/crc64.ts";
import { RangeSink, type RangeWriter } from "../../src/data/range-sink.ts";
import { SlabPool } from "../../src/data/slab-pool.ts";
import type { ObjectHead } from "../../src/types.ts";
import { seededRandom, turn } from "../support/fake-clock.ts";

const slabBytes = 4096;
const head: ObjectHead = {
  sizeBytes: 0,
  etag: "",
  crc64: undefined,
  contentMd5: undefined,
  requestId: undefined,
};

/** A file in memory whose writes take their time, and read their memory when they end as a disk may. */
class SlowFile implements RangeWriter {
  readonly bytes: Uint8Array;
  readonly #turns: () => number;
  readonly #fails: (write: number) => boolean;
  writes = 0;
  open = 0;

  constructor(sizeBytes: number, turns: () => number, fails: (write: number) => boolean = () => false) {
    this.bytes = new Uint8Array(sizeBytes);
    this.#turns = turns;
    this.#fails = fails;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    const number = this.writes++;
    expect(position % 4096).toBe(0);
    this.open++;
    for (let left = this.#turns(); left > 0; left--) await turn();
    this.open--;
    if (this.#fails(number)) throw new Error("disk broken");
    this.bytes.set(bytes, position);
  }
}

/** Sends content as a connection would: in pieces, no further than the memory it gets, and not while it is paused. */
async function send(sink: RangeSink, content: Uint8Array, pieceBytes: () => number): Promise<number> {
  let resume: (() => void) | undefined;
  let pauses = 0;
  sink.accept(head, { resume: () => resume?.() });
  for (let sent = 0; sent < content.length; ) {
    const memory = sink.buffer();
    if (!memory) {
      pauses++;
      await new Promise<void>((resolve) => {
        resume = resolve;
      });
      continue;
    }
    expect(memory.length).toBeGreaterThan(0);
    const piece = content.subarray(sent, sent + Math.min(memory.length, pieceBytes()));
    memory.set(piece);
    sink.filled(piece.length);
    sent += piece.length;
    if (pieceBytes() % 2 === 0) await turn();
  }
  return pauses;
}

async function setUp(count: number, bytes = slabBytes) {
  const kernel = createCrc64Kernel(count * bytes);
  const pool = new SlabPool(kernel.memory, kernelBytes, { slabBytes: bytes, count });
  return { kernel, slabs: await pool.lease({ slabBytes: bytes, count }) };
}

/** The larger one is checksummed in several parts. */
const sizes = fc.constantFrom(slabBytes, 168 * 1024).chain((bytes) =>
  fc.record({
    slabBytes: fc.constant(bytes),
    lengthBytes: fc.oneof(fc.integer({ min: 1, max: 6 * bytes }), fc.constantFrom(bytes, 2 * bytes, 1)),
  }),
);
const scenario = fc.record({
  startBlocks: fc.nat(3),
  size: sizes,
  slabCount: fc.integer({ min: 1, max: 3 }),
  mostPiece: fc.constantFrom(1, 7, 1000, 4096, 100_000),
  slowness: fc.nat(4),
  seed: fc.nat(),
});

test("every byte of a range lands in its place and counts in the CRC, however it arrives and however slow the disk is", async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ startBlocks, size, slabCount, mostPiece, slowness, seed }) => {
      const { lengthBytes } = size;
      fc.pre(lengthBytes < 3000 * mostPiece);
      const random = seededRandom(seed);
      const { kernel, slabs } = await setUp(slabCount, size.slabBytes);
      const start = startBlocks * 4096;
      const content = Uint8Array.from({ length: lengthBytes }, () => Math.floor(random() * 256));
      const file = new SlowFile(start + lengthBytes, () => Math.floor(random() * (slowness + 1)));
      const sink = new RangeSink(kernel, slabs, file, { start, length: lengthBytes });
      await send(sink, content, () => 1 + Math.floor(random() * mostPiece));
      await sink.drained();
      expect(file.open).toBe(0);
      expect(sink.crc64).toBe(crc64(content));
      expect(Buffer.compare(file.bytes.subarray(start), content)).toBe(0);
      expect(file.bytes.subarray(0, start).every((byte) => byte === 0)).toBe(true);
    }),
    { numRuns: 120 },
  );
});

test("the connection pauses while no slab is free, and goes on when a write has ended", async () => {
  const { kernel, slabs } = await setUp(2);
  const content = new Uint8Array(6 * slabBytes).fill(7);
  const file = new SlowFile(content.length, () => 5);
  const sink = new RangeSink(kernel, slabs, file, { start: 0, length: content.length });
  expect(await send(sink, content, () => slabBytes)).toBeGreaterThan(0);
  expect(sink.pausedMs).toBeGreaterThan(0);
  await sink.drained();
  expect(Buffer.compare(file.bytes, content)).toBe(0);
});

test("one slab is written while the other is filled", async () => {
  const { kernel, slabs } = await setUp(2);
  const file = new SlowFile(4 * slabBytes, () => 1000);
  const sink = new RangeSink(kernel, slabs, file, { start: 0, length: 4 * slabBytes });
  sink.accept(head, { resume: () => {} });
  sink.buffer();
  sink.filled(slabBytes);
  expect(file.open).toBe(1);
  expect(sink.buffer()?.length).toBe(slabBytes);
});

test("it is drained only when the last write has ended", async () => {
  const { kernel, slabs } = await setUp(2);
  const file = new SlowFile(slabBytes, () => 20);
  const sink = new RangeSink(kernel, slabs, file, { start: 0, length: slabBytes });
  await send(sink, new Uint8Array(slabBytes), () => slabBytes);
  expect(file.open).toBe(1);
  await sink.drained();
  expect(file.open).toBe(0);
});

test("what was never received is drained at once", async () => {
  const { kernel, slabs } = await setUp(1);
  await new RangeSink(kernel, slabs, new SlowFile(1, () => 0), { start: 0, length: 1 }).drained();
});

test("a failed write ends the request at its next byte, and comes out of drained after all other writes", async () => {
  for (let failing = 0; failing < 4; failing++) {
    const { kernel, slabs } = await setUp(2);
    const content = new Uint8Array(4 * slabBytes);
    const file = new SlowFile(
      content.length,
      () => 3,
      (write) => write === failing,
    );
    const sink = new RangeSink(kernel, slabs, file, { start: 0, length: content.length });
    const sending = send(sink, content, () => slabBytes);
    if (failing < 2) await expect(sending).rejects.toThrow("disk broken");
    else await sending;
    await expect(sink.drained()).rejects.toThrow("disk broken");
    expect(file.open).toBe(0);
    await expect(sink.drained()).rejects.toThrow("disk broken");
  }
});

test("a failed write wakes a connection that is paused", async () => {
  const { kernel, slabs } = await setUp(1);
  const content = new Uint8Array(3 * slabBytes);
  const file = new SlowFile(
    content.length,
    () => 10,
    (write) => write === 0,
  );
  const sink = new RangeSink(kernel, slabs, file, { start: 0, length: content.length });
  await expect(send(sink, content, () => slabBytes)).rejects.toThrow("disk broken");
});

test("no memory is handed out beyond the end of the range", async () => {
  const { kernel, slabs } = await setUp(2);
  const sink = new RangeSink(kernel, slabs, new SlowFile(5000, () => 0), { start: 0, length: 5000 });
  sink.buffer();
  sink.filled(4096);
  expect(sink.buffer()?.length).toBe(904);
  await sink.drained();
});
