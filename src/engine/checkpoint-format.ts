import { createHash } from "node:crypto";
import type { CheckpointState, OpenEntry } from "./checkpoint.ts";
import type { Position } from "./checkpoint-position.ts";
import { Damage, readState } from "./checkpoint-read.ts";

const formatName = "oss-populator.checkpoint";
const formatVersion = 1;
const checksumLine = /^[0-9a-f]{64}\n$/;
const checksumLineBytes = 65;

/** Twice what `mostOpen` entries with the longest keys of ordinary characters take; nothing larger is looked at. */
export const mostCheckpointBytes = 64 * 2 ** 20;

export type LoadedCheckpoint =
  | { readonly status: "ok"; readonly state: CheckpointState }
  /** `damaged`: ours, not intact. `newer`: of a later version of this program. `foreign`: not ours. One sentence. */
  | { readonly status: "damaged" | "newer" | "foreign"; readonly reason: string };

/** Three lines: name and version, compact JSON, SHA-256 of both lines. */
export function stringifyCheckpoint(state: CheckpointState): string {
  const { fingerprint, savedAtMs, firstStartedAt, frontier = null, keysAscend, counts, digest } = state;
  const { chain, startAfter = null } = digest;
  const json = JSON.stringify({
    fingerprint,
    savedAtMs,
    firstStartedAt,
    frontier,
    keysAscend,
    counts,
    digest: { chain, startAfter },
    open: state.open.map(rowOf),
  });
  const text = `${formatName}/v${formatVersion}\n${json}\n`;
  return `${text}${sha256(text)}\n`;
}

/** Reads what `stringifyCheckpoint` wrote, from a file that anyone may have written. Never throws. */
export function parseCheckpoint(file: string | Uint8Array): LoadedCheckpoint {
  const bytes = typeof file === "string" ? Buffer.from(file) : file;
  if (bytes.length > mostCheckpointBytes) return damaged(`it has ${bytes.length} bytes, more than any of ours`);
  const name = /^oss-populator\.checkpoint\/v(\d{1,9})\n/.exec(ascii(bytes.subarray(0, 64)));
  if (!name) return { status: "foreign", reason: "the checkpoint on the target is not one of this program" };
  const text = bytes.subarray(0, Math.max(0, bytes.length - checksumLineBytes));
  const checksum = ascii(bytes.subarray(text.length));
  if (!checksumLine.test(checksum) || checksum !== `${sha256(text)}\n`) return damaged("its checksum is wrong");
  const version = Number(name[1]);
  if (version > formatVersion) {
    const reason = `the checkpoint on the target has format ${version}, newer than ${formatVersion}`;
    return { status: "newer", reason };
  }
  if (version !== formatVersion) return damaged(`it has format ${version}`);
  try {
    const json = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(text.subarray(name[0].length));
    return { status: "ok", state: readState(JSON.parse(json)) };
  } catch (error) {
    return damaged(error instanceof Damage ? error.message : "it is not JSON");
  }
}

function damaged(what: string): LoadedCheckpoint {
  return { status: "damaged", reason: `the checkpoint on the target is damaged: ${what}` };
}

/** The line instead of the position, and only where it is not the key. */
function rowOf({ entry, position, extents }: OpenEntry): Record<string, unknown> {
  const { key, sizeBytes, etag, modifiedMs, type, storageClass, restored } = entry;
  return {
    key,
    ...lineOf(position),
    sizeBytes,
    etag,
    modifiedMs,
    type,
    storageClass,
    restored,
    extents: extents.map(({ start, length, crc64 }) => [start, length, String(crc64)]),
  };
}

function lineOf(position: Position): { readonly line?: number } {
  return typeof position === "number" ? { line: position } : {};
}

function ascii(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}
