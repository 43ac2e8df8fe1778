import type { Counts, ObjectEntry } from "../types.ts";
import type { CheckpointState, OpenEntry, SettledCounts } from "./checkpoint.ts";
import { type Extent, endOf, extentAlignment } from "./checkpoint-extents.ts";
import { comparePositions, type Position } from "./checkpoint-position.ts";
import type { DigestState } from "./source-digest.ts";

/** Twenty times the largest object that the service stores. */
const mostObjectBytes = 2 ** 50;
const mostCrc64 = 2n ** 64n - 1n;

/** What is wrong with a checkpoint, to follow "it is damaged:". */
export class Damage extends Error {}

/** The state that parsed JSON stands for. Throws Damage unless every field is there, no other, and all agree. */
export function readState(value: unknown): CheckpointState {
  const fields = fieldsOf(value, stateFields, "it");
  const frontier = positionOf(fields.frontier, "the frontier");
  const open = listOf(fields.open, "the open list").map((row) => openEntryOf(row, frontier));
  for (const [index, { position }] of open.entries()) {
    const before = open[index - 1];
    check(!before || comparePositions(before.position, position) < 0, "entries of the open list do not ascend");
  }
  return {
    fingerprint: textOf(fields.fingerprint, "the fingerprint"),
    savedAtMs: timeOf(fields.savedAtMs),
    firstStartedAt: isoTimeOf(fields.firstStartedAt),
    frontier,
    keysAscend: flagOf(fields.keysAscend),
    counts: settledCountsOf(fields.counts),
    digest: digestOf(fields.digest, frontier),
    open,
  };
}

const stateFields = [
  "fingerprint",
  "savedAtMs",
  "firstStartedAt",
  "frontier",
  "keysAscend",
  "counts",
  "digest",
  "open",
] as const;

const entryFields = ["key", "sizeBytes", "etag", "modifiedMs", "type", "storageClass", "restored", "extents"] as const;

function openEntryOf(value: unknown, frontier: Position | undefined): OpenEntry {
  const byLine = typeof frontier === "number";
  const fields = fieldsOf(value, byLine ? lineEntryFields : entryFields, "an entry of the open list");
  const key = textOf(fields.key, "a key");
  check(key !== "", "a key is empty");
  const position = byLine ? countOf(fields.line, "a line") : key;
  check(isUpTo(position, frontier), "an entry of the open list is beyond the frontier");
  const entry: ObjectEntry = {
    key,
    sizeBytes: countOf(fields.sizeBytes, "a size"),
    etag: textOf(fields.etag, "an ETag"),
    modifiedMs: timeOf(fields.modifiedMs),
    type: textOf(fields.type, "a type"),
    storageClass: textOf(fields.storageClass, "a storage class"),
    restored: flagOf(fields.restored),
  };
  check(entry.sizeBytes <= mostObjectBytes, "no object is as large as one of its");
  return { entry, position, extents: extentsOf(fields.extents, entry.sizeBytes) };
}

const lineEntryFields = [...entryFields, "line"] as const;

function extentsOf(value: unknown, sizeBytes: number): Extent[] {
  const extents = listOf(value, "extents").map(extentOf);
  let end = -1; // neighbours are merged: at least a gap of one block lies between two
  for (const extent of extents) {
    check(extent.start > end, "extents overlap, touch or do not ascend");
    end = endOf(extent);
    check(end <= sizeBytes, "an extent is beyond the end of its object");
    check(extent.start % extentAlignment === 0, "an extent does not begin at a block");
    check(end % extentAlignment === 0 || end === sizeBytes, "an extent does not end at a block");
  }
  return extents;
}

function extentOf(value: unknown): Extent {
  const [start, length, crc64, ...rest] = listOf(value, "an extent");
  check(rest.length === 0, "an extent has too many fields");
  check(typeof crc64 === "string" && /^(0|[1-9]\d{0,19})$/.test(crc64), "a CRC-64 is not a decimal number");
  const extent = {
    start: countOf(start, "the start of an extent"),
    length: countOf(length, "the length of an extent"),
    crc64: BigInt(crc64),
  };
  check(extent.length > 0, "an extent is empty");
  check(extent.crc64 <= mostCrc64, "a CRC-64 has more than 64 bits");
  return extent;
}

function digestOf(value: unknown, frontier: Position | undefined): DigestState {
  const fields = fieldsOf(value, ["chain", "startAfter"], "the digest");
  const startAfter = positionOf(fields.startAfter, "the start of the digest");
  const chain = textOf(fields.chain, "the digest");
  check(startAfter === undefined ? chain === "" : /^[0-9a-f]{64}$/.test(chain), "the digest is no SHA-256");
  check(startAfter === undefined || isUpTo(startAfter, frontier), "the digest is beyond the frontier");
  return { chain, startAfter };
}

function settledCountsOf(value: unknown): SettledCounts {
  const { copied, skipped, verified } = fieldsOf(value, ["copied", "skipped", "verified"], "counts");
  const proofs = fieldsOf(verified, ["crc64", "md5", "lengthOnly"], "counts of proofs");
  return {
    copied: countsOf(copied),
    skipped: countsOf(skipped),
    verified: {
      crc64: countOf(proofs.crc64, "a count"),
      md5: countOf(proofs.md5, "a count"),
      lengthOnly: countOf(proofs.lengthOnly, "a count"),
    },
  };
}

function countsOf(value: unknown): Counts {
  const { objects, bytes } = fieldsOf(value, ["objects", "bytes"], "counts");
  return { objects: countOf(objects, "a count"), bytes: countOf(bytes, "a count") };
}

function positionOf(value: unknown, what: string): Position | undefined {
  if (value === null) return undefined;
  return typeof value === "number" ? countOf(value, what) : textOf(value, what);
}

function isUpTo(position: Position, frontier: Position | undefined): boolean {
  return typeof position === typeof frontier && frontier !== undefined && comparePositions(position, frontier) <= 0;
}

function fieldsOf<K extends string>(value: unknown, names: readonly K[], what: string): Readonly<Record<K, unknown>> {
  check(typeof value === "object" && value !== null && !Array.isArray(value), `${what} is not a set of fields`);
  const all = Object.keys(value).length === names.length && names.every((name) => Object.hasOwn(value, name));
  check(all, `${what} has other fields than it should`);
  return value as Readonly<Record<K, unknown>>; // exactly these fields, as just seen
}

function listOf(value: unknown, what: string): readonly unknown[] {
  check(Array.isArray(value), `${what} is not a list`);
  return value;
}

function textOf(value: unknown, what: string): string {
  check(typeof value === "string" && value.isWellFormed(), `${what} is not a text`);
  return value;
}

function flagOf(value: unknown): boolean {
  check(typeof value === "boolean", "a flag is neither true nor false");
  return value;
}

function countOf(value: unknown, what: string): number {
  const isCount = typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && !Object.is(value, -0);
  check(isCount, `${what} is not a count`);
  return value;
}

/** Within what `Date` can hold, so that it can be printed. */
function timeOf(value: unknown): number {
  const timeMs = countOf(value, "a time");
  check(!Number.isNaN(new Date(timeMs).getTime()), "a time is beyond all calendars");
  return timeMs;
}

function isoTimeOf(value: unknown): string {
  const text = textOf(value, "the first start");
  const timeMs = Date.parse(text);
  check(!Number.isNaN(timeMs) && new Date(timeMs).toISOString() === text, "the first start is not a time");
  return text;
}

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Damage(what);
}
