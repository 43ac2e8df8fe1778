import fc from "fast-check";
import { expect, test } from "vitest";
import { WholeSink } from "../../src/data/whole-sink.ts";

const slabBytes = 1000;

test("a body in any pieces lies in the slab from its first byte, and nothing beyond its length is handed out", () => {
  const body = fc.uint8Array({ maxLength: slabBytes });
  fc.assert(
    fc.property(body, fc.infiniteStream(fc.integer({ min: 1, max: 300 })), (content, pieces) => {
      const slab = { offset: 0, bytes: new Uint8Array(slabBytes).fill(9) };
      const sink = new WholeSink(slab, content.length);
      for (let sent = 0; sent < content.length; ) {
        const memory = sink.buffer();
        expect(memory.length).toBe(content.length - sent);
        const piece = content.subarray(sent, sent + pieces.next().value);
        memory.set(piece);
        sink.filled(piece.length);
        sent += piece.length;
      }
      expect(Buffer.compare(sink.bytes, content)).toBe(0);
      expect(sink.bytes.buffer).toBe(slab.bytes.buffer);
      expect(slab.bytes.subarray(content.length).every((byte) => byte === 9)).toBe(true);
    }),
  );
});

test("before the first byte there are none", () => {
  const sink = new WholeSink({ offset: 0, bytes: new Uint8Array(slabBytes) }, 10);
  expect(sink.bytes).toHaveLength(0);
});
