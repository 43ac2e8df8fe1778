import { readdirSync, readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { CheckpointState } from "../../src/engine/checkpoint.ts";
import { endOf } from "../../src/engine/checkpoint-extents.ts";
import { type LoadedCheckpoint, parseCheckpoint, stringifyCheckpoint } from "../../src/engine/checkpoint-format.ts";
import { sealed } from "./checkpoint-samples.ts";

const folder = new URL("../fuzz/checkpoint/", import.meta.url);
const corpus = readdirSync(folder).map((name) => ({ name, bytes: readFileSync(new URL(name, folder)) }));
const bodies = corpus.map(({ bytes }) => bytes.toString().split("\n")[1] ?? "");

test.each(corpus)("the corpus has $name", ({ name, bytes }) => {
  const loaded = parseCheckpoint(bytes);
  expect(loaded.status).toBe(name.split("-")[0]);
  expectSound(loaded);
});

/** What a stretch may become: a piece of another file, or one of the values that parsers stumble over. */
const replacement = fc.oneof(
  fc.record({ of: fc.constantFrom(...bodies), at: fc.nat(3000), length: fc.nat(200) }).map(piece),
  fc.constantFrom("", "null", "-1", "1e999", "0.5", "-0", "9007199254740993", "[]", "{}", '""', "true", '"\\ud800"'),
  fc.string({ maxLength: 5 }),
);
/** Whole values rather than any characters, most of the time: such files get past the reader of JSON. */
const edit = fc.record({ value: fc.nat(200), where: fc.double({ min: 0, max: 1, noNaN: true }), replacement });

test("edited files behind a right checksum are refused, or mean something that holds together", {
  timeout: 60_000,
}, () => {
  let accepted = 0;
  const file = fc.record({ body: fc.constantFrom(...bodies), edits: fc.array(edit, { maxLength: 3 }) });
  fc.assert(
    fc.property(file, ({ body, edits }) => {
      const loaded = parseCheckpoint(Buffer.from(sealed(edits.reduce(applyEdit, body))));
      expectSound(loaded);
      if (loaded.status === "ok") accepted++;
    }),
    { numRuns: 4000 },
  );
  expect(accepted).toBeGreaterThan(100);
});

test("any bytes at all are refused in one sentence", () => {
  const bytes = fc.uint8Array({ maxLength: 300, size: "max" });
  const begun = bytes.map((rest) => Buffer.concat([Buffer.from("oss-populator.checkpoint/v1\n"), rest]));
  fc.assert(
    fc.property(fc.oneof(bytes, begun), (all) => {
      const loaded = parseCheckpoint(all);
      expect(loaded.status).not.toBe("ok");
      expectSound(loaded);
    }),
    { numRuns: 2000 },
  );
});

function applyEdit(
  text: string,
  { value, where, replacement: other }: { value: number; where: number; replacement: string },
) {
  const values = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d+|true|false|null|\[[^[\]]*\]/g)];
  const match = value < 180 ? values[Math.floor(where * values.length)] : undefined;
  const at = match?.index ?? Math.floor(where * text.length);
  return text.slice(0, at) + other + text.slice(at + (match?.[0].length ?? value - 180));
}

function piece({ of, at, length }: { of: string; at: number; length: number }): string {
  return of.slice(at % (of.length + 1), (at % (of.length + 1)) + length);
}

function expectSound(loaded: LoadedCheckpoint): void {
  if (loaded.status !== "ok") {
    expect(loaded.reason).toMatch(/^the checkpoint on the target [^\n]{10,120}$/);
    return;
  }
  const { state } = loaded;
  expect(parseCheckpoint(Buffer.from(stringifyCheckpoint(state)))).toEqual(loaded);
  expectConsistent(state);
}

/** Compares bytes with bytes: another way than the parser's. */
function expectConsistent({ frontier, open }: CheckpointState): void {
  const inBytes = (position: string | number | undefined): Buffer => {
    if (typeof position === "string") return Buffer.from(position);
    const line = Buffer.alloc(8);
    line.writeBigUInt64BE(BigInt(position ?? 0));
    return line;
  };
  for (const [i, { position, entry, extents }] of open.entries()) {
    const next = open[i + 1]?.position ?? frontier;
    expect(Buffer.compare(inBytes(position), inBytes(next))).toBeLessThanOrEqual(i + 1 < open.length ? -1 : 0);
    let end = -1;
    for (const extent of extents) {
      expect(extent.start).toBeGreaterThan(end);
      end = endOf(extent);
    }
    expect(end).toBeLessThanOrEqual(entry.sizeBytes);
  }
}
