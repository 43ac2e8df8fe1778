import { combineCrc64, crc64 } from "../../src/checksum/crc64.ts";
import { type CheckpointState, whyNotResume } from "../../src/engine/checkpoint.ts";
import { type Extent, endOf } from "../../src/engine/checkpoint-extents.ts";
import { parseCheckpoint } from "../../src/engine/checkpoint-format.ts";
import type { ObjectEntry } from "../../src/types.ts";
import { entryOf } from "../support/sources.ts";
import { CrashingDisk } from "./crashing-disk.ts";

export const blockBytes = 4096;

/** An object of the source. `refused`: planning finds that it cannot be copied, until the source is mended. */
export interface Thing {
  readonly key: string;
  readonly sizeBytes: number;
  fate: "fine" | "refused" | "skipped";
  version: number;
}

/** What outlives a process: the source, the disk and the checkpoint that is on it. */
export class World {
  readonly disk = new CrashingDisk();
  readonly things: readonly Thing[];
  checkpoint: string | undefined;
  readonly #crcs = new Map<string, bigint>();

  constructor(random: () => number) {
    const count = 1 + Math.floor(random() * 50);
    this.things = Array.from({ length: count }, (_, i) => ({
      key: `key-${String(i).padStart(3, "0")}`,
      sizeBytes: Math.max(0, Math.floor(random() * 9) * blockBytes - (random() < 0.5 ? 0 : 100)),
      fate: random() < 0.05 ? "refused" : random() < 0.05 ? "skipped" : "fine",
      version: 1,
    }));
  }

  entry({ key, sizeBytes, version }: Thing): ObjectEntry {
    return entryOf(key, { sizeBytes, etag: `"${version}"` });
  }

  /** The checkpoint as a new process reads it; undefined when there is none. */
  loaded(): CheckpointState | undefined {
    if (this.checkpoint === undefined) return undefined;
    const loaded = parseCheckpoint(Buffer.from(this.checkpoint));
    if (loaded.status !== "ok") throw new Error(loaded.reason);
    const why = whyNotResume(loaded.state, { fingerprint: "work", nowMs: 1, resumeWithinMs: 1 });
    if (why !== undefined) throw new Error(why);
    return loaded.state;
  }

  /** Whether a file has every block of one version of its object. */
  isWhole({ key, sizeBytes, version }: Thing): boolean {
    const file = this.disk.read(key);
    const versions = Array.from({ length: version }, (_, i) => i + 1);
    return versions.some((any) => file?.join() === blocksOf({ start: 0, length: sizeBytes }, any).join());
  }

  /** CRC-64 of what stands at some blocks of a file. */
  crcOnDisk(key: string, extent: { start: number; length: number }): bigint {
    const file = this.disk.read(key) ?? [];
    return this.crcOf(extent, (block) => file[block] ?? "beyond the end");
  }

  crcOf({ start, length }: { start: number; length: number }, tagOf: (block: number) => string): bigint {
    let crc = 0n;
    for (let at = start; at < start + length; at += blockBytes) {
      const bytes = Math.min(blockBytes, start + length - at);
      crc = combineCrc64(crc, this.#crcOfBlock(tagOf(at / blockBytes), bytes), bytes);
    }
    return crc;
  }

  #crcOfBlock(tag: string, bytes: number): bigint {
    const name = `${tag} ${bytes}`;
    const crc = this.#crcs.get(name) ?? crc64(Buffer.alloc(bytes, tag));
    this.#crcs.set(name, crc);
    return crc;
  }
}

/** Content of a block of a version. */
export function tag(version: number, block: number): string {
  return `v${version} block ${block}`;
}

/** Contents of the blocks of a range. */
export function blocksOf({ start, length }: { start: number; length: number }, version: number): string[] {
  const first = start / blockBytes;
  return Array.from({ length: Math.ceil(length / blockBytes) }, (_, i) => tag(version, first + i));
}

/** Whether a file is long enough for the extents that a checkpoint knows of it. */
export function canGoOn(file: readonly string[] | undefined, extents: readonly Extent[]): boolean {
  const last = extents.at(-1);
  return last !== undefined && file !== undefined && file.length * blockBytes >= endOf(last);
}
