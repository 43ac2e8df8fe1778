import { expect, test } from "vitest";
import { GeneratedContent, generatedSlices, MemoryContent, PATTERN_BYTES } from "./content.ts";
import { type Crc, combineCrc, crcDecimal, crcOf, repeatCrc, updateCrc } from "./crc64.ts";
import { GeneratedSet } from "./generated-set.ts";
import { afterPrefix, compareKeys } from "./keys.ts";
import { Bucket } from "./object-store.ts";

/** Bit by bit, from the definition; shares nothing with the tables. */
function bitwiseCrc(data: Uint8Array): string {
  const polynomial = 0xc96c5795d7870f42n;
  let crc = 0xffff_ffff_ffff_ffffn;
  for (const byte of data) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ polynomial : crc >> 1n;
  }
  return (crc ^ 0xffff_ffff_ffff_ffffn).toString();
}

function bytesOf(key: string, sizeBytes: number, seed = 5): Buffer {
  return Buffer.concat([...generatedSlices({ seed, key, sizeBytes })]);
}

const text = Buffer.from("123456789");

test("the CRC is CRC-64/XZ, in one piece, in pieces and combined", () => {
  expect(crcDecimal(crcOf(text))).toBe("11051210869376104954");
  expect(crcDecimal(crcOf(Buffer.alloc(0)))).toBe("0");
  const sentence = Buffer.from("This is a test of the emergency broadcast system.");
  expect(crcDecimal(crcOf(sentence))).toBe(0x27db187fc15bbc72n.toString());
  expect(crcDecimal(combineCrc(crcOf(text), crcOf(sentence), sentence.length))).toBe(0x6a7aa19fcbf48688n.toString());
  for (const size of [0, 1, 7, 8, 9, 64, 1000]) {
    const data = bytesOf("bits", size);
    expect(crcDecimal(crcOf(data))).toBe(bitwiseCrc(data));
    const half = Math.floor(size / 3);
    expect(updateCrc(crcOf(data.subarray(0, half)), data.subarray(half))).toEqual(crcOf(data));
  }
});

test("a repeated block has the CRC of the repeated bytes", () => {
  for (const times of [0, 1, 2, 3, 10]) {
    const repeated = Buffer.concat(Array.from({ length: times }, () => text));
    expect(crcDecimal(repeatCrc(crcOf(text), text.length, times))).toBe(crcDecimal(crcOf(repeated)));
  }
});

test("generated content has the CRC of its bytes whatever its size", () => {
  const sizes = [0, 1, 255, 256, 257, 4096, PATTERN_BYTES - 1, PATTERN_BYTES, PATTERN_BYTES + 1, 3_500_000];
  for (const sizeBytes of sizes) {
    const computed: Crc = new GeneratedContent({ seed: 5, key: "some/key", sizeBytes }).crc();
    expect(crcDecimal(computed), String(sizeBytes)).toBe(crcDecimal(crcOf(bytesOf("some/key", sizeBytes))));
  }
  const small = bytesOf("some/key", 300);
  const content = new GeneratedContent({ seed: 5, key: "some/key", sizeBytes: 300 });
  expect(crcDecimal(content.crc())).toBe(bitwiseCrc(small));
});

test("generated content is the same each time, and any range of it is that of the whole", () => {
  const sizeBytes = 2_500_000;
  const whole = bytesOf("k", sizeBytes);
  expect(bytesOf("k", sizeBytes).equals(whole)).toBe(true);
  for (const [start, length] of [
    [0, 1],
    [1_048_576, 1_048_576],
    [999, 1_500_000],
    [sizeBytes - 1, 1],
  ] as const) {
    const part = Buffer.concat([...generatedSlices({ seed: 5, key: "k", sizeBytes }, start, length)]);
    expect(part.equals(whole.subarray(start, start + length))).toBe(true);
  }
});

test("other keys, seeds, generations and parts have other bytes", () => {
  const plain = bytesOf("k", 4096);
  expect(bytesOf("l", 4096).equals(plain)).toBe(false);
  expect(bytesOf("k", 4096, 6).equals(plain)).toBe(false);
  const next = [...generatedSlices({ seed: 5, key: "k", sizeBytes: 4096, generation: 1 })];
  expect(Buffer.concat(next).equals(plain)).toBe(false);
  const parts = [0, 1, 2].map((part) => [
    ...generatedSlices({ seed: 5, key: "k", sizeBytes: 2 ** 24 }, part * 2 ** 20, 64),
  ]);
  expect(new Set(parts.map((slices) => Buffer.concat(slices).toString("hex"))).size).toBe(3);
});

test("keys are ordered as their UTF-8 bytes", () => {
  const keys = ["", "a", "a/b", "a0", "ab", "é", "中", "\ud7ff", "\ue000", "\uffff", "😀", "🚀", "😀a", "A", "~"];
  const byBytes = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  expect(keys.toSorted(compareKeys)).toEqual(byBytes);
  expect([afterPrefix("a/"), afterPrefix("a\u{10ffff}"), afterPrefix("\u{10ffff}")]).toEqual(["a0", "b", undefined]);
});

test("ten million generated keys are in order, found by name, and cost no memory", () => {
  const before = process.memoryUsage().heapUsed;
  const set = new GeneratedSet({
    prefix: "p/",
    count: 10_000_000,
    sizeBytes: 1,
    perDirectory: 1000,
    depth: 2,
    suffix: ".x",
  });
  expect(set.keyAt(0)).toBe("p/00/0000/0000000.x");
  for (const position of [0, 1, 999, 1000, 999_999, 1_000_000, 9_999_998]) {
    const key = set.keyAt(position);
    expect(compareKeys(key, set.keyAt(position + 1))).toBeLessThan(0);
    expect(set.get(key)?.key).toBe(key);
    expect(set.lowerBound(key)).toBe(position);
  }
  expect(set.get("p/00/0000/10000000.x")).toBeUndefined();
  expect(set.get("p/00/0001/0000000.x")).toBeUndefined();
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(20_000_000);
});

test("named and sized sets keep to their rule", () => {
  const set = new GeneratedSet({ count: 500, sizeBytes: { min: 10, max: 20 }, nameOf: (index) => `n${500 - index}` });
  const keys = Array.from({ length: 500 }, (_, position) => set.keyAt(position));
  expect(keys).toEqual(keys.toSorted(compareKeys));
  const sizes = new Set(keys.map((key) => set.get(key)?.sizeBytes));
  expect([...sizes].toSorted()).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]);
});

test("an object put, replaced or deleted hides the generated one", () => {
  const bucket = new Bucket("b", false);
  bucket.generate({ count: 5, sizeBytes: 3 });
  bucket.put("0001", new MemoryContent(Buffer.from("own")), {});
  bucket.delete("0002");
  const old = bucket.get("0003");
  const replaced = bucket.replace("0003");
  expect([...bucket.keys()]).toEqual(["0000", "0001", "0003", "0004"]);
  expect(bucket.get("0001")?.content).toBeInstanceOf(MemoryContent);
  expect(bucket.get("0002")).toBeUndefined();
  expect(bucket.get("0003")).toBe(replaced);
  expect(replaced?.sizeBytes).toBe(old?.sizeBytes);
  expect(replaced?.etag).not.toBe(old?.etag);
  expect(replaced?.crcText).not.toBe(old?.crcText);
});
