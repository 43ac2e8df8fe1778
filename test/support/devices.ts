import { execFile } from "node:child_process";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Bucket } from "../emulator/object-store.ts";

const run = promisify(execFile);

/** A block device of the test's own, gone on disposal. */
export interface LoopDevice extends AsyncDisposable {
  readonly path: string;
  /** Reads `length` bytes, or fewer at the end of the device. */
  read(start: number, length: number): Promise<Buffer>;
  write(start: number, bytes: Uint8Array): Promise<void>;
  /** Whether a range holds nothing but zeros. */
  isZero(start: number, length: number): Promise<boolean>;
}

export interface LoopOptions {
  /** Bytes of a logical block. */
  readonly sectorSize?: 512 | 4096;
  readonly readOnly?: boolean;
}

let devices = 0;

/** A loop device on a sparse file of its own in `directory`. */
export async function attachLoop(
  directory: string,
  sizeBytes: number,
  { sectorSize = 512, readOnly = false }: LoopOptions = {},
): Promise<LoopDevice> {
  const image = `${directory}/device-${++devices}.img`;
  {
    await using file = await open(image, "w");
    await file.truncate(sizeBytes);
  }
  const args = ["--find", "--show", "--sector-size", String(sectorSize), ...(readOnly ? ["--read-only"] : []), image];
  const path = (await run("losetup", args)).stdout.trim();
  const read = async (start: number, length: number): Promise<Buffer> => {
    await using device = await open(path, "r");
    const { bytesRead, buffer } = await device.read(Buffer.alloc(length), 0, length, start);
    return buffer.subarray(0, bytesRead);
  };
  return {
    path,
    read,
    async write(start, bytes) {
      await using device = await open(path, "r+");
      await device.write(bytes, 0, bytes.length, start);
      await device.sync();
    },
    isZero: async (start, length) => (await read(start, length)).every((byte) => byte === 0),
    async [Symbol.asyncDispose]() {
      // A process that was just killed may have it open for a moment; then it goes with that one.
      await run("losetup", ["--detach", path]);
      await rm(image, { force: true });
    },
  };
}

/** Whether this machine lets tests have block devices; tests that need one are skipped otherwise. */
export const canAttachLoop = await loopsWork();
if (!canAttachLoop) console.warn("tests of block devices are skipped: they need the right to attach a loop device");

async function loopsWork(): Promise<boolean> {
  const scratch = await mkdtemp(join(tmpdir(), "oss-populator-device-"));
  try {
    await using device = await attachLoop(scratch, 8192);
    return (await device.read(0, 1)).length === 1;
  } catch {
    return false;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Where a device differs from an object that begins at its byte 0, in words; undefined when nowhere. */
export async function differenceFrom(bucket: Bucket, key: string, device: LoopDevice): Promise<string | undefined> {
  const object = bucket.get(key);
  if (object === undefined) return `there is no object ${key}`;
  let at = 0;
  for (const slice of object.content.slices(0, object.sizeBytes)) {
    if (!(await device.read(at, slice.length)).equals(slice)) return `other bytes from ${at} on`;
    at += slice.length;
  }
  return at === object.sizeBytes ? undefined : `only ${at} bytes were compared`;
}
