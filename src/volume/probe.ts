import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, unlink } from "node:fs/promises";
import { CopyError } from "../errors.ts";
import { alignedMemory } from "./aligned-memory.ts";
import { type Attributes, lacksOf } from "./attributes.ts";
import { blockBytes, type FileIo } from "./direct-file.ts";
import { errnoOf, volumeError } from "./errors.ts";
import { filesystem, filesystemType } from "./filesystem-type.ts";
import { readIdentity } from "./identity.ts";
import { probePrefix } from "./path.ts";

/** What the target can do, as a file made there showed. */
export interface TargetAbilities {
  /** The filesystem's own clock when the run began: nothing that it made later has an older ctime. */
  readonly startedCtimeMs: number;
  readonly caseInsensitive: boolean;
  readonly io: FileIo;
  /** False where files show modes of the filesystem's own. */
  readonly keepsModes: boolean;
  /** Step of modification times, 1, 1000 or 2000 ms; undefined where they cannot be set. */
  readonly mtimeStepMs: number | undefined;
}

export interface ProbeOptions {
  readonly root: string;
  readonly attributes: Attributes;
  /** Whether files change owner before they get their times, as staged files do. */
  readonly staged: boolean;
}

const probeText = Buffer.from("oss-populator writes, reads and removes this file before it begins\n");
/** An odd second with a fraction: shows steps of a millisecond, of one and of two seconds (FAT). */
const probeTimeMs = 1_500_000_001_123;

/** They take O_DIRECT since Linux 6.6, but have nothing behind the page cache. */
const inMemory: ReadonlySet<number> = new Set([filesystem.tmpfs, filesystem.ramfs]);

/** Makes a file with the wanted attributes, reads it back, and removes it. Throws CopyError `volume` or `volume-full`. */
export async function probeTarget(options: ProbeOptions): Promise<TargetAbilities> {
  const { root } = options;
  const path = `${root}/${probePrefix}${randomBytes(8).toString("hex")}`;
  const file = await create(path, root);
  try {
    await using handle = file;
    const startedCtimeMs = (await handle.stat()).ctimeMs;
    await writeAndReadBack(handle, root);
    const io = await ioOf(root, path);
    const keepsModes = await setMode(handle, options);
    const mtimeStepMs = await setTimes(handle);
    await setOwner(handle, options);
    const timesAfterOwner = options.staged && mtimeStepMs !== undefined ? await setTimes(handle) : mtimeStepMs;
    const caseInsensitive = await exists(`${root}/${path.slice(root.length + 1).toUpperCase()}`);
    return { startedCtimeMs, caseInsensitive, io, keepsModes, mtimeStepMs: timesAfterOwner };
  } catch (error) {
    throw volumeError(error, "test writing to the target", root);
  } finally {
    await unlink(path).catch(() => {});
  }
}

/** Why a directory refuses us, in words that say what to do. */
export async function refusal(error: unknown, root: string): Promise<unknown> {
  const code = errnoOf(error);
  if (code === "EROFS") return new CopyError("volume", `the target ${root} is read-only`, { cause: error });
  if (code !== "EACCES" && code !== "EPERM") return volumeError(error, "write to the target", root);
  const stats = await lstat(root).catch(() => undefined);
  const owner =
    stats === undefined ? "" : ` its root belongs to uid ${stats.uid}, gid ${stats.gid}, mode ${octal(stats)};`;
  const { uid, gid } = readIdentity();
  const advice = "run as root, or set fsGroup in the pod's security context";
  const message = `the target ${root} refuses us:${owner} we run as uid ${uid}, gid ${gid}; ${advice}`;
  return new CopyError("volume", message, { cause: error });
}

async function create(path: string, root: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw await refusal(error, root);
  }
}

async function writeAndReadBack(handle: FileHandle, root: string): Promise<void> {
  await handle.write(probeText, 0, probeText.length, 0);
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(probeText.length), 0, probeText.length, 0);
  if (bytesRead === probeText.length && buffer.equals(probeText)) return;
  throw new CopyError("volume", `the target ${root} does not read back what was written to it`);
}

async function ioOf(root: string, path: string): Promise<FileIo> {
  if (inMemory.has(await filesystemType(root))) return "memory";
  return (await takesDirectIo(path)) ? "direct" : "buffered";
}

async function takesDirectIo(path: string): Promise<boolean> {
  try {
    await using handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_DIRECT);
    const block = alignedMemory(blockBytes);
    return (await handle.write(block, 0, block.length, 0)).bytesWritten === block.length;
  } catch (error) {
    if (errnoOf(error) === "EINVAL") return false;
    throw error;
  }
}

async function setMode(handle: FileHandle, { attributes }: ProbeOptions): Promise<boolean> {
  try {
    await handle.chmod(attributes.fileMode);
  } catch (error) {
    if (errnoOf(error) === "EPERM" || errnoOf(error) === "EOPNOTSUPP") return false;
    throw error;
  }
  return !lacksOf(await handle.stat(), attributes).mode;
}

async function setTimes(handle: FileHandle): Promise<number | undefined> {
  try {
    await handle.utimes(probeTimeMs / 1000, probeTimeMs / 1000);
  } catch (error) {
    if (errnoOf(error) === "EPERM" || errnoOf(error) === "EOPNOTSUPP") return undefined;
    throw error;
  }
  const lateMs = probeTimeMs - Math.round((await handle.stat()).mtimeMs);
  if (lateMs === 0) return 1;
  if (lateMs > 0 && lateMs < 1000) return 1000;
  return lateMs > 0 && lateMs < 2000 ? 2000 : undefined;
}

async function setOwner(handle: FileHandle, { attributes, root }: ProbeOptions): Promise<void> {
  const { uid, gid } = attributes;
  if (uid === undefined && gid === undefined) return;
  let cause: unknown;
  try {
    await handle.chown(uid ?? -1, gid ?? -1);
    if (!lacksOf(await handle.stat(), attributes).owner) return;
  } catch (error) {
    cause = error;
  }
  const wanted = [uid === undefined ? [] : `uid ${uid}`, gid === undefined ? [] : `gid ${gid}`].flat().join(", ");
  const us = readIdentity();
  const message = `files on the target ${root} cannot be given to ${wanted}: we run as uid ${us.uid}, gid ${us.gid}`;
  throw new CopyError("volume", `${message} and may not change owners; run as root`, { cause });
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

function octal(stats: Stats): string {
  return (stats.mode & 0o7777).toString(8).padStart(4, "0");
}
