import fs, { constants, type Stats } from "node:fs";
import { access, lstat, realpath, stat } from "node:fs/promises";
import { promisify } from "node:util";
import { CopyError } from "../errors.ts";
import type { ByteRange } from "../types.ts";
import { alignedMemory } from "./aligned-memory.ts";
import { blockBytes, DirectFile } from "./direct-file.ts";
import { describeKind, errnoOf, volumeError } from "./errors.ts";
import { readIdentity } from "./identity.ts";
import { pooled } from "./pooled.ts";

/** What tells a disk from blank space: partition tables and superblocks lie in the first MiB, which is written last. */
export const headBytes = 2 ** 20;

/** `fill` and `look` keep the device for this process alone, as a mount does; `look` and `audit` cannot write. */
export type DeviceUse = "fill" | "look" | "audit";

const flagsOf = {
  fill: constants.O_RDWR | constants.O_EXCL,
  look: constants.O_RDONLY | constants.O_EXCL,
  audit: constants.O_RDONLY,
} as const satisfies Record<DeviceUse, number>;

const pieceBytes = 2 ** 20;
const fstat = promisify(fs.fstat);

/** The real path of the block device that `path` names or leads to; undefined for everything else. */
export async function findDevice(path: string): Promise<string | undefined> {
  const stats = await stat(path).catch(() => undefined); // whoever needs something there will say why it is not
  return stats?.isBlockDevice() ? realpath(path) : undefined;
}

/** Whether a device could not be opened because somebody has it for himself. */
export function isInUse(error: unknown): boolean {
  return error instanceof CopyError && errnoOf(error.cause) === "EBUSY";
}

/** Throws CopyError `volume`, which says who may, when we may not write to a device. */
export async function refuseClosedDevice(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw await refusal(error, path);
  }
}

/** A block device, open until it is disposed of. Methods throw CopyError. */
export class Device implements AsyncDisposable {
  readonly path: string;
  readonly sizeBytes: number;
  /** Holds the device for us, and is told of every failed write of it. */
  readonly #descriptor: number;
  readonly #file: DirectFile;

  private constructor(path: string, descriptor: number, file: DirectFile, sizeBytes: number) {
    this.path = path;
    this.sizeBytes = sizeBytes;
    this.#descriptor = descriptor;
    this.#file = file;
  }

  /** Opens a device by its real path. Throws CopyError `volume`. */
  static async open(path: string, use: DeviceUse): Promise<Device> {
    const descriptor = await openForUse(path, use);
    let file: DirectFile | undefined;
    try {
      file = directFileOf({ path, descriptor, readOnly: use !== "fill" });
      return new Device(path, descriptor, file, await measure(file));
    } catch (error) {
      await file?.close().catch(() => {});
      await pooled.close(descriptor).catch(() => {});
      throw deviceError(error, "open", path);
    }
  }

  /** By which writers of this process open the device once more. */
  get descriptor(): number {
    return this.#descriptor;
  }

  /** Fills aligned memory as far as the device reaches; resolves to the bytes read. */
  async read(memory: Uint8Array, offset: number): Promise<number> {
    let done = 0;
    while (done < memory.length) {
      const got = await this.#file.read(memory.subarray(done), offset + done);
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  /** Writes aligned memory at a logical block; what is behind it up to the next 4 KiB becomes zero. */
  write(bytes: Uint8Array, offset: number): Promise<void> {
    return this.#file.write(bytes, offset);
  }

  /** Makes a range of whole 4 KiB blocks zero. Also throws the signal's reason. */
  async clear({ start, length }: ByteRange, signal: AbortSignal): Promise<void> {
    const zeros = alignedMemory(Math.min(length, pieceBytes));
    for (let done = 0; done < length; done += zeros.length) {
      signal.throwIfAborted();
      await this.write(zeros.subarray(0, Math.min(zeros.length, length - done)), start + done);
    }
  }

  /** Whether the range, as far as the device reaches, holds nothing but zeros. */
  async isZero({ start, length }: ByteRange): Promise<boolean> {
    const memory = alignedMemory(Math.min(length, pieceBytes));
    for (let done = 0; done < length; done += memory.length) {
      const got = await this.read(memory.subarray(0, Math.min(memory.length, length - done)), start + done);
      if (memory.subarray(0, got).some((byte) => byte !== 0)) return false;
    }
    return true;
  }

  /** Puts all that was written before the call, through whatever descriptor, on stable storage. */
  async sync(): Promise<void> {
    try {
      await pooled.fsync(this.#descriptor);
    } catch (error) {
      throw deviceError(error, "sync", this.path);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    await pooled.close(this.#descriptor);
  }
}

/** A descriptor of its own for the bytes of a device that `descriptor` has open. Throws CopyError `volume`. */
export function directFileOf(of: { path: string; descriptor: number; readOnly?: boolean }): DirectFile {
  const { path, descriptor, readOnly = false } = of;
  const flags = readOnly ? constants.O_RDONLY : constants.O_RDWR;
  const errorOf = (error: unknown, action: string): unknown => deviceError(error, action, path);
  try {
    const own = fs.openSync(`/proc/self/fd/${descriptor}`, flags);
    return new DirectFile(own, { io: "direct", readOnly, errorOf });
  } catch (error) {
    throw deviceError(error, "open", path);
  }
}

async function openForUse(path: string, use: DeviceUse): Promise<number> {
  let descriptor: number | undefined;
  try {
    // With O_NONBLOCK a FIFO in the device's place does not make us wait for who writes to it.
    const flags = flagsOf[use] | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    descriptor = await pooled.open(path, flags, 0);
    const stats = await fstat(descriptor);
    if (stats.isBlockDevice()) return descriptor;
    throw new CopyError("volume", `the target ${path} has become ${describeKind(stats)}`);
  } catch (error) {
    if (descriptor !== undefined) await pooled.close(descriptor).catch(() => {});
    throw await refusal(error, path);
  }
}

/** Why a device does not open, in words that say what to do. */
async function refusal(error: unknown, path: string): Promise<unknown> {
  const code = errnoOf(error);
  if (code === "EBUSY") {
    const message = `the device ${path} is in use: it is mounted, or another program holds it`;
    return new CopyError("volume", message, { cause: error });
  }
  if (code !== "EACCES" && code !== "EPERM") return deviceError(error, "open", path);
  const stats = await lstat(path).catch(() => undefined);
  const { uid, gid } = readIdentity();
  const owner = stats === undefined ? "" : ` it belongs to uid ${stats.uid}, gid ${stats.gid}, mode ${octal(stats)};`;
  const advice = "run as root, or let the container runtime give devices to the pod's user";
  const message = `the device ${path} refuses us:${owner} we run as uid ${uid}, gid ${gid}; ${advice}`;
  return new CopyError("volume", message, { cause: error });
}

/** The CopyError of a failed call on an open device; what is no system error comes back as it is. */
function deviceError(error: unknown, action: string, path: string): unknown {
  const code = errnoOf(error);
  if (code === "EPERM" || code === "EROFS") {
    return new CopyError("volume", `the device ${path} is read-only`, { cause: error });
  }
  if (code === "ENXIO" || code === "ENODEV" || code === "ENOMEDIUM") {
    return new CopyError("volume", `cannot ${action} ${path}: the device is gone (${code})`, { cause: error });
  }
  return volumeError(error, action, path);
}

/**
 * The size of a device, which Node cannot ask the kernel for (BLKGETSIZE64), and /sys need not show: reads that begin
 * behind the end give nothing, and the one that crosses it ends there.
 */
async function measure(file: DirectFile): Promise<number> {
  const block = alignedMemory(blockBytes);
  const readAt = (index: number): Promise<number> => file.read(block, index * blockBytes);
  let first = await readAt(0);
  if (first < blockBytes) return first;
  let full = 0;
  let past = 1;
  for (first = await readAt(past); first === blockBytes; first = await readAt(past)) {
    full = past;
    past *= 2;
  }
  while (past - full > 1) {
    const middle = Math.floor((full + past) / 2);
    if ((await readAt(middle)) === blockBytes) full = middle;
    else past = middle;
  }
  return past * blockBytes + (await readAt(past));
}

function octal(stats: Stats): string {
  return (stats.mode & 0o7777).toString(8).padStart(4, "0");
}
