import { CopyError } from "../errors.ts";
import type { SafePath } from "../types.ts";

/** Holds the owner record and the checkpoint at the root of the target while a run is unfinished. */
export const stateDirectory = ".oss-populator";

/** Belongs to the filesystem: never listed into, never written to, never removed. */
export const lostAndFound = "lost+found";

/** Every file name that begins like this is ours and may be left behind by a run that was killed. */
export const temporaryPrefix = ".oss-populator.";

const temporarySuffix = ".tmp";
const versionPattern = /^[\w-]{1,128}$/;

/** Begins the name of the file that tests what the target can do. */
export const probePrefix = `${temporaryPrefix}probe-`;

/** NAME_MAX of Linux filesystems, in bytes. */
const maxSegmentBytes = 255;
/** PATH_MAX of Linux, in bytes. */
const maxPathBytes = 4096;

/** The path of a key below the directory; throws CopyError `unsupported` for a key that cannot be a file there. */
export function resolvePath(relativeKey: string): SafePath {
  return checkedPath(relativeKey, relativeKey);
}

/** The directory that a key with a trailing slash names; throws CopyError `unsupported` like `resolvePath`. */
export function directoryMarkerPath(relativeKey: string): SafePath {
  if (!relativeKey.endsWith("/")) {
    throw new RangeError(`${JSON.stringify(relativeKey)} is no directory marker: it has no trailing slash`);
  }
  return checkedPath(relativeKey.slice(0, -1), relativeKey);
}

/** The hidden name that a file has until it is published; `version` must be made of letters, digits, `_` and `-`. */
export function temporaryName(version: string): string {
  if (!versionPattern.test(version)) throw new RangeError(`${JSON.stringify(version)} cannot be part of a file name`);
  return temporaryPrefix + version + temporarySuffix;
}

/** The version in a name that `temporaryName` made; undefined for every other name. */
export function versionOfTemporary(name: string): string | undefined {
  if (!name.startsWith(temporaryPrefix) || !name.endsWith(temporarySuffix)) return undefined;
  const version = name.slice(temporaryPrefix.length, -temporarySuffix.length);
  return versionPattern.test(version) ? version : undefined;
}

/** Directory part and last segment of a path; the directory of a top-level path is "". */
export function splitPath(path: SafePath): readonly [directory: string, name: string] {
  const cut = path.lastIndexOf("/");
  return cut < 0 ? ["", path] : [path.slice(0, cut), path.slice(cut + 1)];
}

function checkedPath(path: string, key: string): SafePath {
  const reason = refusal(path);
  if (reason !== undefined) {
    throw new CopyError("unsupported", `key ${JSON.stringify(key)} cannot be a path below the target: ${reason}`);
  }
  // The only place that makes a SafePath: every rule has been checked.
  return path as SafePath;
}

/** Names that no rule below refuses; most are such, and one look is cheaper than all rules. */
const plain = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200}(?:\/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,200})*$/;

function refusal(path: string): string | undefined {
  if (path.length <= maxPathBytes && plain.test(path)) return undefined;
  if (path === "") return "it is empty";
  if (path.includes("\0")) return "it contains a NUL character";
  if (!path.isWellFormed()) return "it contains half of a surrogate pair, which has no UTF-8 form";
  const pathBytes = Buffer.byteLength(path);
  if (pathBytes > maxPathBytes) return `it is ${pathBytes} bytes long, more than ${maxPathBytes}`;
  const segments = path.split("/");
  if (segments[0] === lostAndFound) return `\`${lostAndFound}\` belongs to the filesystem`;
  // A case-insensitive filesystem would lead any spelling into our own directory.
  if (segments[0]?.toLowerCase() === stateDirectory)
    return `\`${stateDirectory}\` is where this program keeps its state`;
  for (const segment of segments) {
    const reason = segmentRefusal(segment);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function segmentRefusal(segment: string): string | undefined {
  if (segment === "") return "it has an empty segment";
  if (segment === "." || segment === "..") return `it has a segment \`${segment}\``;
  const segmentBytes = Buffer.byteLength(segment);
  if (segmentBytes > maxSegmentBytes) return `a segment is ${segmentBytes} bytes long, more than ${maxSegmentBytes}`;
  if (segment.toLowerCase().startsWith(temporaryPrefix)) {
    return `names that begin with \`${temporaryPrefix}\` are this program's temporary files`;
  }
  return undefined;
}
