/** One copy into a target, or one shard of it, as names on the target tell it from others. */
export interface CopyWork {
  /** Digest of what is copied: 16 hexadecimal digits, the same for all shards. */
  readonly source: string;
  /** Which of `count` shards; without shards it is the only one, 0 of 1. */
  readonly index: number;
  readonly count: number;
}

const lockPrefix = "copy-";
const workPattern = "([0-9a-f]{16})-(\\d{1,7})-(\\d{1,7})";
const lockName = new RegExp(`^${lockPrefix}${workPattern}$`);
const versionName = new RegExp(`^${workPattern}-[0-9a-f]{32}$`);

/** Name of the file in the state directory that a work has locked, and that stays while it is unfinished. */
export function lockNameOf(work: CopyWork): string {
  return lockPrefix + nameOf(work);
}

/** Name of its checkpoint, beside the lock. */
export function checkpointNameOf(work: CopyWork): string {
  return `${lockNameOf(work)}.checkpoint`;
}

/** Names one version of an object in the temporary names of a work; `digest` has 32 hexadecimal digits. */
export function versionOf(work: CopyWork, digest: string): string {
  return `${nameOf(work)}-${digest}`;
}

/** The work that has a file of this name in the state directory as its lock; undefined for other names. */
export function workOfLock(name: string): CopyWork | undefined {
  return workIn(lockName.exec(name));
}

/** The work that a temporary name's version belongs to; undefined for versions that no copy makes. */
export function workOfVersion(version: string): CopyWork | undefined {
  return workIn(versionName.exec(version));
}

/** Whether a name in the state directory belongs to a copy. */
export function isOfCopy(name: string): boolean {
  return name.startsWith(lockPrefix);
}

export function isSameWork(a: CopyWork, b: CopyWork): boolean {
  return nameOf(a) === nameOf(b);
}

function nameOf({ source, index, count }: CopyWork): string {
  return `${source}-${index}-${count}`;
}

function workIn(match: RegExpExecArray | null): CopyWork | undefined {
  const [, source, index, count] = match ?? [];
  return source === undefined ? undefined : { source, index: Number(index), count: Number(count) };
}
