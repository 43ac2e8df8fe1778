import { createHash } from "node:crypto";
import fc from "fast-check";
import type { CheckpointState, OpenEntry } from "../../src/engine/checkpoint.ts";
import type { Extent } from "../../src/engine/checkpoint-extents.ts";
import { comparePositions, type Position } from "../../src/engine/checkpoint-position.ts";
import { entryOf } from "../support/sources.ts";

export const block = 4096;

/** A state with one of everything. */
export function sampleState(changes: Partial<CheckpointState> = {}): CheckpointState {
  return {
    fingerprint: "f".repeat(64),
    savedAtMs: 1_800_000_000_000,
    firstStartedAt: "2027-01-15T08:00:00.000Z",
    frontier: "data/m",
    keysAscend: true,
    open: [
      { entry: entryOf("data/a"), position: "data/a", extents: [] },
      {
        entry: entryOf("data/large", { sizeBytes: 10 * block + 7, type: "Multipart" }),
        position: "data/large",
        extents: [
          { start: 0, length: 2 * block, crc64: 2n ** 64n - 1n },
          { start: 8 * block, length: 2 * block + 7, crc64: 0n },
        ],
      },
    ],
    counts: {
      copied: { objects: 12, bytes: 3456 },
      skipped: { objects: 1, bytes: 0 },
      verified: { crc64: 10, md5: 1, lengthOnly: 1 },
    },
    digest: { chain: "0123456789abcdef".repeat(4), startAfter: "data/Z" },
    ...changes,
  };
}

/** The text that a checkpoint has when `body` stands between its first line and its checksum. */
export function sealed(body: string, format = "oss-populator.checkpoint/v1"): string {
  const text = `${format}\n${body}\n`;
  return `${text}${createHash("sha256").update(text).digest("hex")}\n`;
}

const count = () => fc.maxSafeNat();
const counts = () => fc.record({ objects: count(), bytes: count() });

/** Extents of an object: gaps and lengths in blocks, in turn, with an odd end if the object has one. */
const sized = (): fc.Arbitrary<{ readonly sizeBytes: number; readonly extents: Extent[] }> =>
  fc
    .record({
      runs: fc.array(
        fc.record({ gap: fc.integer({ min: 1, max: 9 }), blocks: fc.integer({ min: 1, max: 2 ** 20 }), crc64: crc() }),
        { maxLength: 5 },
      ),
      rest: fc.nat(3 * block),
    })
    .map(({ runs, rest }) => {
      let end = 0;
      const extents = runs.map(({ gap, blocks, crc64 }) => {
        const start = end + gap * block;
        end = start + blocks * block;
        return { start, length: blocks * block, crc64 };
      });
      return { sizeBytes: end + rest, extents };
    });

const crc = () => fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const key = () => fc.string({ unit: "binary", minLength: 1, maxLength: 40 });

const openEntry = (position: Position, name: string): fc.Arbitrary<OpenEntry> =>
  fc
    .record({
      sized: sized(),
      etag: fc.string(),
      modifiedMs: fc.nat(),
      type: fc.string(),
      storageClass: fc.string(),
      restored: fc.boolean(),
    })
    .map(({ sized: { sizeBytes, extents }, ...rest }) => ({
      entry: { key: name, sizeBytes, ...rest },
      position,
      extents,
    }));

const ordered = (positions: readonly Position[]): Position[] => [...new Set(positions)].toSorted(comparePositions);

const byKey = () => fc.array(key(), { maxLength: 12 }).map(ordered);
const byLine = () => fc.array(count(), { maxLength: 12 }).map(ordered);

/** Any state that a run can be in. */
export const anyState = (): fc.Arbitrary<CheckpointState> =>
  fc.oneof(byKey(), byLine()).chain((positions) => {
    const frontier = positions.at(-1);
    const [first] = positions;
    return fc.record({
      fingerprint: fc.string(),
      savedAtMs: fc.nat(),
      firstStartedAt: fc.nat().map((ms) => new Date(ms).toISOString()),
      frontier: fc.constant(frontier),
      keysAscend: fc.boolean(),
      open: fc.tuple(...positions.map((at) => openEntry(at, typeof at === "string" ? at : `key of ${at}`))),
      counts: fc.record({
        copied: counts(),
        skipped: counts(),
        verified: fc.record({ crc64: count(), md5: count(), lengthOnly: count() }),
      }),
      digest: fc.constantFrom(
        { chain: "", startAfter: undefined },
        first === undefined ? { chain: "", startAfter: undefined } : { chain: "0a".repeat(32), startAfter: first },
      ),
    });
  });
