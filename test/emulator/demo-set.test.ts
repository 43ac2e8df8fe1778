import { expect, test } from "vitest";
import { addDemoSet, DEMO_MARKER, demoNames } from "./demo-set.ts";
import { urlEncode } from "./listing.ts";
import { Bucket } from "./object-store.ts";
import { parseBatch, parseSize } from "./presets.ts";
import { rawRequest } from "./raw-client.ts";
import { Emulator } from "./server.ts";

test("the demo set has many small objects, awkward names, an empty one, a marker and large ones", () => {
  const bucket = new Bucket("b", false);
  const summary = addDemoSet(bucket);
  const keys = [...bucket.keys("dataset/")];
  expect(keys.length).toBe(summary.objects);
  expect(keys.filter((key) => key.startsWith("dataset/small/")).length).toBe(5000);
  for (const name of [...demoNames, DEMO_MARKER]) expect(keys).toContain(`dataset/${name}`);
  for (const part of [" ", "%", "+", "中文", "🚀"])
    expect(
      keys.some((key) => key.includes(part)),
      part,
    ).toBe(true);
  expect(bucket.get("dataset/empty.bin")?.sizeBytes).toBe(0);
  const sizes = keys.map((key) => bucket.get(key)?.sizeBytes ?? 0).toSorted((a, b) => b - a);
  expect(sizes.slice(0, 3).map((size) => size / 2 ** 20)).toEqual([300, 64, 32]);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(summary.bytes);
});

test("another process that fills a bucket of its own has the same bytes to compare with", async () => {
  await using emulator = await Emulator.start({ anonymous: true });
  addDemoSet(emulator.bucket("b"), { smallCount: 5, largeBytes: [3_000_000] });
  const mine = new Bucket("mine", false);
  addDemoSet(mine, { smallCount: 5, largeBytes: [3_000_000] });
  for (const key of mine.keys()) {
    const answer = await rawRequest({ port: emulator.port, path: `/b/${urlEncode(key)}` });
    const object = mine.get(key);
    const expected = Buffer.concat([...(object?.content.slices(0, object.sizeBytes) ?? [])]);
    expect(answer.body.equals(expected), key).toBe(true);
    expect(answer.headers.get("x-oss-hash-crc64ecma"), key).toBe(object?.crcText);
  }
});

test("sizes and batches are read as people write them", () => {
  expect([parseSize("16KiB"), parseSize("1.5MB"), parseSize("42"), parseSize("1 gib")]).toEqual([
    16_384,
    1_500_000,
    42,
    2 ** 30,
  ]);
  expect(parseBatch("10x1KiB")).toEqual({ count: 10, sizeBytes: 1024 });
  expect(parseBatch("10x1KiB-2KiB")).toEqual({ count: 10, sizeBytes: { min: 1024, max: 2048 } });
  for (const text of ["x", "10", "10xlots"]) expect(() => parseBatch(text), text).toThrow(TypeError);
});
