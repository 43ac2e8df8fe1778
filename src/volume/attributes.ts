import { fchmodSync, fchownSync, fstatSync, futimesSync, type Stats } from "node:fs";
import type { Identity } from "./identity.ts";

/** Owner and modes that everything we make is to have. */
export interface Attributes {
  readonly fileMode: number;
  readonly dirMode: number;
  /** Undefined leaves what the kernel gives. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  /** False where the filesystem shows modes of its own whatever is set; default true. */
  readonly keepsModes?: boolean | undefined;
}

/** What a fresh file still lacks after `open`; the same for all files made in one directory by one process. */
export interface Lacks {
  readonly mode: boolean;
  readonly owner: boolean;
}

const permissionBits = 0o7777;
/** chown(2) clears these on regular files, even for root. */
const clearedByChown = 0o6000;
const setgid = 0o2000;
const unchanged = -1;

/** Whether a directory with these attributes would refuse us new entries: then they are set in a last pass. */
export function keepsUsOut(attributes: Attributes, identity: Identity): boolean {
  if (identity.overridesPermissions) return false;
  const foreign = attributes.uid !== undefined && attributes.uid !== identity.uid;
  return foreign || (attributes.dirMode & 0o700) !== 0o700;
}

/** Compares a fresh file with what is wanted: umask, default ACLs and setgid parents decide what `open` gave it. */
export function lacksOf(stats: Stats, attributes: Attributes): Lacks {
  return {
    mode: attributes.keepsModes !== false && (stats.mode & permissionBits) !== attributes.fileMode,
    owner: ownerDiffers(stats, attributes),
  };
}

/**
 * Gives an open file its mode, times (milliseconds; undefined leaves them) and owner. The owner comes last: a file that
 * belongs to someone else can be changed only with further capabilities.
 */
export function dressFile(
  descriptor: number,
  attributes: Attributes,
  lacks: Lacks,
  modifiedMs: number | undefined,
): void {
  if (lacks.mode) fchmodSync(descriptor, attributes.fileMode);
  if (modifiedMs !== undefined) futimesSync(descriptor, modifiedMs / 1000, modifiedMs / 1000);
  if (!lacks.owner) return;
  fchownSync(descriptor, attributes.uid ?? unchanged, attributes.gid ?? unchanged);
  if (clearsBits(attributes)) fchmodSync(descriptor, attributes.fileMode);
}

/** Whether a change of owner takes bits of the wanted mode away again. */
export function clearsBits(attributes: Attributes): boolean {
  return attributes.keepsModes !== false && (attributes.fileMode & clearedByChown) !== 0;
}

/** The mode that a directory is to have; without a group of our own a setgid bit inherited from the parent stays. */
export function wantedDirectoryMode(stats: Stats, attributes: Attributes): number {
  return attributes.gid === undefined ? attributes.dirMode | (stats.mode & setgid) : attributes.dirMode;
}

/** Whether an existing directory differs from what is wanted, and in what. */
export function directoryLacks(stats: Stats, attributes: Attributes): Lacks {
  const mode = wantedDirectoryMode(stats, attributes);
  return {
    mode: attributes.keepsModes !== false && (stats.mode & permissionBits) !== mode,
    owner: ownerDiffers(stats, attributes),
  };
}

/**
 * Mode of a directory that has not got its attributes yet, where several processes may come upon it or ours may be killed
 * meanwhile: whoever finds it gives them. The umask leaves it as it is, and hardly anybody else makes such directories.
 */
export const unfinishedMode = 0o1700;

/** Whether a directory was made with `unfinishedMode` by us, and has not got its attributes. */
export function isUnfinishedDirectory(stats: Stats, uid: number): boolean {
  return stats.isDirectory() && stats.uid === uid && (stats.mode & permissionBits & ~setgid) === unfinishedMode;
}

/** Gives an open directory that we just made its mode and, last, its owner. */
export function dressDirectory(descriptor: number, attributes: Attributes): void {
  const stats = fstatSync(descriptor);
  const lacks = directoryLacks(stats, attributes);
  if (lacks.mode) fchmodSync(descriptor, wantedDirectoryMode(stats, attributes));
  if (lacks.owner) fchownSync(descriptor, attributes.uid ?? unchanged, attributes.gid ?? unchanged);
}

function ownerDiffers(stats: Stats, attributes: Attributes): boolean {
  return (
    (attributes.uid !== undefined && attributes.uid !== stats.uid) ||
    (attributes.gid !== undefined && attributes.gid !== stats.gid)
  );
}
