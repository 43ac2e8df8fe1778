import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Content } from "./content.ts";
import type { Bucket } from "./object-store.ts";

/** What a directory and a part of a bucket have in common, and the first things they have not. */
export interface TreeComparison {
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
  /** One sentence each, at most ten. */
  readonly differences: readonly string[];
}

const mostDifferences = 10;
const sliceBytes = 1_048_576;

/**
 * Compares every file below `root` byte by byte with the objects under `prefix`, and the names both ways: nothing may be
 * missing and nothing else may be there. Symbolic links are not followed. Throws what reading the directory throws.
 */
export async function compareTree(bucket: Bucket, prefix: string, root: string): Promise<TreeComparison> {
  const expected = expectedNames(bucket, prefix);
  const found = await namesBelow(root);
  const differences: string[] = [];
  const count = { files: 0, directories: 0, bytes: 0 };
  for (const [name, kind] of found) {
    if (!expected.has(name)) differences.push(`${JSON.stringify(name)} is no object of the bucket`);
    else if (expected.get(name) !== kind) differences.push(`${JSON.stringify(name)} is a ${kind}`);
  }
  for (const [name, kind] of expected) {
    if (differences.length >= mostDifferences) break;
    if (!found.has(name)) differences.push(`${JSON.stringify(name)} is missing`);
    if (found.get(name) !== kind) continue;
    if (kind === "directory") {
      count.directories += 1;
      continue;
    }
    const content = bucket.get(prefix + name)?.content;
    const difference = content === undefined ? "is gone from the bucket" : await compareFile(join(root, name), content);
    if (difference !== undefined) differences.push(`${JSON.stringify(name)} ${difference}`);
    count.files += 1;
    count.bytes += content?.sizeBytes ?? 0;
  }
  return { ...count, differences: differences.slice(0, mostDifferences) };
}

type Kind = "file" | "directory" | "special file";

/** Every path that has to be there, with the directories that lead to it. */
function expectedNames(bucket: Bucket, prefix: string): Map<string, Kind> {
  const names = new Map<string, Kind>();
  for (const key of bucket.keys(prefix)) {
    const segments = key.slice(prefix.length).split("/");
    const last = segments.pop() ?? "";
    segments.forEach((_, index) => {
      names.set(segments.slice(0, index + 1).join("/"), "directory");
    });
    if (last !== "") names.set([...segments, last].join("/"), "file");
  }
  return names;
}

async function namesBelow(root: string): Promise<Map<string, Kind>> {
  const names = new Map<string, Kind>();
  const pending = [""];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    for (const entry of await readdir(join(root, directory), { withFileTypes: true })) {
      const name = directory === "" ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory()) pending.push(name);
      names.set(name, entry.isDirectory() ? "directory" : entry.isFile() ? "file" : "special file");
    }
  }
  return names;
}

/** What is wrong with a file; undefined when it holds exactly `content`. */
async function compareFile(path: string, content: Content): Promise<string | undefined> {
  await using file = await open(path);
  const { size } = await file.stat();
  if (size !== content.sizeBytes) return `has ${size} bytes, the object ${content.sizeBytes}`;
  const buffer = Buffer.allocUnsafe(Math.min(sliceBytes, Math.max(1, size)));
  let offset = 0;
  for (const slice of content.slices(0, size)) {
    const actual = await readFully(file, buffer.subarray(0, slice.length), offset);
    if (!actual.equals(slice)) return `differs from its object between bytes ${offset} and ${offset + slice.length}`;
    offset += slice.length;
  }
  return undefined;
}

/** The bytes at `offset`; fewer than asked for only at the end of the file. */
async function readFully(file: FileHandle, buffer: Buffer, offset: number): Promise<Buffer> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}
