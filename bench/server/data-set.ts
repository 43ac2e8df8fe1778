import { createHash, randomFillSync } from "node:crypto";
import { mkdir, open, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { crc64 } from "../../src/checksum/crc64.ts";

export const MiB = 2 ** 20;

/** So many objects of one size, or of sizes spread evenly between two. */
export interface Batch {
  readonly name: "large" | "small";
  readonly count: number;
  readonly sizeBytes: number | { readonly min: number; readonly max: number };
}

export interface StoredFile {
  readonly key: string;
  readonly sizeBytes: number;
  readonly crc64: bigint;
  readonly modifiedMs: number;
}

const blockBytes = 4 * MiB;
const smallPerDirectory = 1000;

/** Writes the files of `batches` below `root`, named by keys that begin with `prefix`; in ascending order of keys. */
export async function writeDataSet(root: string, prefix: string, batches: readonly Batch[]): Promise<StoredFile[]> {
  const block = randomFillSync(Buffer.allocUnsafe(blockBytes));
  const files: StoredFile[] = [];
  for (const [number, batch] of batches.entries()) {
    for (let index = 0; index < batch.count; index++) {
      const key = `${prefix}${batch.name}-${number}/${folder(batch, index)}${String(index).padStart(5, "0")}.bin`;
      files.push(await writeFile(root, key, sizeOf(batch, index), block));
    }
  }
  return files.sort((a, b) => (a.key < b.key ? -1 : 1));
}

export function totalBytes(files: readonly { readonly sizeBytes: number }[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function folder({ name }: Batch, index: number): string {
  return name === "small" ? `${String(Math.floor(index / smallPerDirectory)).padStart(2, "0")}/` : "";
}

/** The same sizes in every run. */
function sizeOf({ sizeBytes }: Batch, index: number): number {
  if (typeof sizeBytes === "number") return sizeBytes;
  const digest = createHash("sha256").update(String(index)).digest();
  return sizeBytes.min + (digest.readUInt32LE() % (sizeBytes.max - sizeBytes.min + 1));
}

/** The content begins with the key and a number every few megabytes, so that exchanged files or parts show. */
async function writeFile(root: string, key: string, sizeBytes: number, block: Buffer): Promise<StoredFile> {
  const path = join(root, key);
  await mkdir(dirname(path), { recursive: true });
  await using file = await open(path, "w");
  let crc = 0n;
  for (let start = 0; start < sizeBytes; start += block.length) {
    block.write(`${key} ${start}\n`);
    const part = block.subarray(0, Math.min(block.length, sizeBytes - start));
    crc = crc64(part, crc);
    await file.write(part);
  }
  const { mtimeMs } = await stat(path);
  return { key, sizeBytes, crc64: crc, modifiedMs: Math.floor(mtimeMs / 1000) * 1000 };
}
