import type { Stats } from "node:fs";
import { CopyError, type ErrorKind } from "../errors.ts";

/** Plain words for what errno(3) only abbreviates. */
const words: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EBADMSG: "the filesystem is damaged",
  EBUSY: "it is in use",
  EDQUOT: "the disk quota is used up",
  EEXIST: "something is there already",
  EFBIG: "the file is larger than the filesystem allows",
  EILSEQ: "the filesystem cannot hold this name",
  EINVAL: "the filesystem does not accept it",
  EIO: "the device reported an I/O error",
  EISDIR: "a directory is there",
  ELOOP: "a symbolic link is there, and none is followed",
  EMFILE: "this process has too many open files: raise their limit, or lower --concurrency",
  EMLINK: "the directory has too many links",
  ENAMETOOLONG: "the filesystem does not take so long a name",
  ENFILE: "the machine has too many open files",
  ENODEV: "the device is gone",
  ENOENT: "it does not exist",
  ENOMEM: "the kernel is out of memory",
  ENOSPC: "no space is left",
  ENOTDIR: "a part of the path is not a directory",
  ENOTEMPTY: "a directory with content is there",
  ENXIO: "it is not a regular file",
  EPERM: "the filesystem does not permit it",
  EROFS: "the target is read-only",
  ESTALE: "the network filesystem lost it",
  ETIMEDOUT: "the network filesystem did not answer",
  EUCLEAN: "the filesystem is damaged",
};

const kindsAnywhere: Readonly<Record<string, ErrorKind>> = {
  ENOSPC: "volume-full",
  EDQUOT: "volume-full",
  EFBIG: "unsupported",
};

/** What these codes mean when the call made, replaced or opened a name: the name's own trouble, not the target's. */
const kindsAtName: Readonly<Record<string, ErrorKind>> = {
  EEXIST: "occupied",
  EISDIR: "occupied",
  ELOOP: "occupied",
  ENOTDIR: "occupied",
  ENOTEMPTY: "occupied",
  ENXIO: "occupied",
  EILSEQ: "unsupported",
  EINVAL: "unsupported",
  ENAMETOOLONG: "unsupported",
};

/** What Node calls an unknown system error, by its number on Linux. */
const unknownToNode: ReadonlyMap<unknown, string> = new Map([
  [-74, "EBADMSG"],
  [-116, "ESTALE"],
  [-117, "EUCLEAN"],
  [-122, "EDQUOT"],
]);

/** The errno name of a failed system call; undefined for everything else. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error) || !("syscall" in error)) return undefined;
  if (typeof error.code !== "string") return undefined;
  return ("errno" in error && unknownToNode.get(error.errno)) || error.code;
}

/**
 * The bytes that a write(2) took. A broken filesystem may take none of some and report no error: whoever goes on would go
 * on for ever. Throws what the kernel makes of it elsewhere, EIO.
 */
export function bytesTaken(bytes: number): number {
  if (bytes > 0) return bytes;
  throw Object.assign(new Error("EIO: no byte was taken, write"), { code: "EIO", syscall: "write" });
}

/** The CopyError of a failed call on the target or on open data; whatever is no system error comes back as it is. */
export function volumeError(error: unknown, action: string, path: string): unknown {
  return translated(error, `cannot ${action} ${path}`, kindsAnywhere);
}

/** Like `volumeError`, for a call that makes, opens or replaces a name: there `occupied` and `unsupported` are possible. */
export function nameError(error: unknown, action: string, path: string): unknown {
  return translated(error, `cannot ${action} ${path}`, { ...kindsAtName, ...kindsAnywhere });
}

/** What stands at a path, in words. */
export function describeKind(stats: Stats): string {
  if (stats.isFile()) return "a file";
  if (stats.isDirectory()) return "a directory";
  if (stats.isSymbolicLink()) return "a symbolic link";
  if (stats.isFIFO()) return "a FIFO";
  if (stats.isSocket()) return "a socket";
  return stats.isBlockDevice() ? "a block device" : "a character device";
}

function translated(error: unknown, attempt: string, kinds: Readonly<Record<string, ErrorKind>>): unknown {
  const code = errnoOf(error);
  if (code === undefined) return error;
  const reason = words[code] ?? "the system call failed";
  return new CopyError(kinds[code] ?? "volume", `${attempt}: ${reason} (${code})`, { cause: error });
}
