import { lstat, open, opendir, readlink } from "node:fs/promises";
import { join } from "node:path";
import type { Bucket } from "../../emulator/object-store.ts";

export interface Node {
  readonly kind: "file" | "directory" | "symlink" | "other";
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Where a symlink leads. */
  readonly link: string | undefined;
}

/** Everything below a directory, by relative path, hidden names included. */
export async function readTree(root: string): Promise<Map<string, Node>> {
  const found = new Map<string, Node>();
  const walk = async (relative: string): Promise<void> => {
    for await (const { name } of await opendir(join(root, relative))) {
      const path = relative === "" ? name : `${relative}/${name}`;
      const node = await nodeAt(join(root, path));
      found.set(path, node);
      if (node.kind === "directory") await walk(path);
    }
  };
  await walk("");
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The paths below a directory, those of directories with a slash behind. */
export async function pathsIn(root: string): Promise<string[]> {
  return [...(await readTree(root))].map(([path, { kind }]) => (kind === "directory" ? `${path}/` : path));
}

async function nodeAt(path: string): Promise<Node> {
  const stats = await lstat(path);
  const kind = stats.isFile()
    ? "file"
    : stats.isDirectory()
      ? "directory"
      : stats.isSymbolicLink()
        ? "symlink"
        : "other";
  return {
    kind,
    sizeBytes: stats.size,
    mtimeMs: Math.round(stats.mtimeMs),
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    link: kind === "symlink" ? await readlink(path) : undefined,
  };
}

export interface CompareOptions {
  /** Cut off from every key. */
  readonly prefix?: string;
  /** Names of the root that are looked over. */
  readonly ignore?: readonly string[];
  readonly select?: (relative: string) => boolean;
  /** False where modification times are nobody's business. */
  readonly mtimes?: boolean;
}

/** How a directory differs from a bucket, byte by byte; nothing means that they are equal, with nothing left over. */
export async function differencesFrom(bucket: Bucket, root: string, options: CompareOptions = {}): Promise<string[]> {
  const { prefix = "", ignore = [], select = () => true, mtimes = true } = options;
  const tree = await readTree(root);
  const wanted = new Set<string>(ignore);
  const differences: string[] = [];
  for (const key of bucket.keys(prefix)) {
    const relative = key.slice(prefix.length);
    if (relative === "" || !select(relative)) continue;
    const path = relative.replace(/\/$/, "");
    addWithParents(wanted, path);
    const node = tree.get(path);
    const kind = relative.endsWith("/") ? "directory" : "file";
    if (node?.kind !== kind) differences.push(`${path}: ${node?.kind ?? "nothing"} instead of a ${kind}`);
    else if (kind === "file") differences.push(...(await fileDifferences(bucket, key, { root, path, node, mtimes })));
  }
  for (const path of tree.keys()) {
    if (!wanted.has(path) && !ignore.includes(path.split("/")[0] ?? "")) differences.push(`${path}: not in the bucket`);
  }
  return differences;
}

function addWithParents(paths: Set<string>, path: string): void {
  for (let at = path.indexOf("/"); at >= 0; at = path.indexOf("/", at + 1)) paths.add(path.slice(0, at));
  paths.add(path);
}

async function fileDifferences(
  bucket: Bucket,
  key: string,
  { root, path, node, mtimes }: { root: string; path: string; node: Node; mtimes: boolean },
): Promise<string[]> {
  const stored = bucket.get(key);
  const link = stored?.options.symlinkTarget;
  const object = link === undefined ? stored : bucket.get(link);
  if (object === undefined) return [`${path}: there is no object ${key}`];
  if (node.sizeBytes !== object.sizeBytes) return [`${path}: ${node.sizeBytes} bytes instead of ${object.sizeBytes}`];
  await using file = await open(join(root, path));
  let at = 0;
  for (const slice of object.content.slices(0, object.sizeBytes)) {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(slice.length), 0, slice.length, at);
    if (bytesRead !== slice.length || !buffer.equals(slice)) return [`${path}: other bytes from ${at} on`];
    at += slice.length;
  }
  // Of a link and what it leads to, the service tells the later time.
  const modifiedMs = Math.max(object.lastModifiedMs, stored?.lastModifiedMs ?? 0);
  if (mtimes && node.mtimeMs !== modifiedMs) return [`${path}: modified at ${node.mtimeMs} instead of ${modifiedMs}`];
  return [];
}
