import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect } from "vitest";
import { CopyError, type ErrorKind } from "../../src/errors.ts";
import type { FileTarget } from "../../src/types.ts";
import { resolvePath } from "../../src/volume/path.ts";
import { VolumeWriter, type VolumeWriterOptions } from "../../src/volume/volume-writer.ts";

export const run = promisify(execFile);

export interface Place extends AsyncDisposable {
  readonly path: string;
}

/** A fresh directory, removed at the end. */
export async function temporaryDirectory(): Promise<Place> {
  const path = await mkdtemp(join(tmpdir(), "oss-populator-volume-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export const isRoot = process.getuid?.() === 0;

/** Whether this machine lets tests mount filesystems of their own; tests that need it are skipped otherwise. */
export const canMount = isRoot && (await mountWorks());
if (!canMount) console.warn("tests that mount filesystems are skipped: they need root and CAP_SYS_ADMIN");

/** A memory filesystem such as `tmpfs` with `size=1m,nr_inodes=20`. */
export async function mountMemory(type: "tmpfs" | "ramfs", options = "mode=0755"): Promise<Place> {
  return mountAt(await temporaryDirectory(), ["-t", type, "-o", options, type]);
}

/** An ext4 filesystem in a file. */
export async function mountExt4(megabytes: number, mkfsOptions: readonly string[] = []): Promise<Place> {
  const directory = await temporaryDirectory();
  const image = `${directory.path}.img`;
  await writeFile(image, "");
  await truncate(image, megabytes * 2 ** 20);
  await run("mkfs.ext4", ["-q", ...mkfsOptions, image]);
  const mounted = await mountAt(directory, ["-o", "loop", image]);
  return {
    path: mounted.path,
    [Symbol.asyncDispose]: async () => {
      await mounted[Symbol.asyncDispose]();
      await rm(image, { force: true });
    },
  };
}

async function mountAt(directory: Place, args: readonly string[]): Promise<Place> {
  await run("mount", [...args, directory.path]);
  return {
    path: directory.path,
    [Symbol.asyncDispose]: async () => {
      await run("umount", [directory.path]).catch(() => run("umount", ["--lazy", directory.path]));
      await directory[Symbol.asyncDispose]();
    },
  };
}

async function mountWorks(): Promise<boolean> {
  const directory = await temporaryDirectory();
  try {
    await using _mounted = await mountAt(directory, ["-t", "tmpfs", "tmpfs"]);
    return true;
  } catch {
    await directory[Symbol.asyncDispose]();
    return false;
  }
}

export const modifiedMs = Date.UTC(2021, 4, 6, 7, 8, 9);

export function target(path: string, sizeBytes = 0, version = "v1"): FileTarget {
  return { path: resolvePath(path), sizeBytes, modifiedMs, version };
}

export function writerAt(root: string, options: Partial<VolumeWriterOptions> = {}): VolumeWriter {
  return new VolumeWriter({
    root,
    placement: "direct",
    fileMode: 0o644,
    dirMode: 0o755,
    mtime: true,
    fsyncFiles: false,
    io: "direct",
    ...options,
  });
}

/** Page-aligned memory like that of a data thread, filled with bytes that depend on their position. */
export function pageAligned(pages: number): Uint8Array {
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer);
  for (let i = 0; i < memory.length; i++) memory[i] = (i * 31 + (i >>> 8) * 17 + 1) & 0xff;
  return memory;
}

/** The CopyError that the call throws; fails unless it has this kind. */
export async function failure(kind: ErrorKind, call: () => unknown): Promise<CopyError> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof CopyError)) throw error;
    expect(error.kind, error.message).toBe(kind);
    return error;
  }
  throw new Error(`nothing was thrown where a CopyError ${kind} is due`);
}

/** Runs a job of `child.ts` in a process of its own, with another umask or identity. */
export async function inChild(job: object, identity: { readonly uid?: number; readonly gid?: number } = {}) {
  const script = fileURLToPath(new URL("child.ts", import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(job)], {
    stdio: ["ignore", "pipe", "pipe"],
    ...identity,
  });
  let output = "";
  let complaint = "";
  child.stdout.on("data", (text) => {
    output += text;
  });
  child.stderr.on("data", (text) => {
    complaint += text;
  });
  await new Promise((resolve) => child.on("close", resolve));
  if (output === "") throw new Error(`the child said nothing: ${complaint}`);
  return JSON.parse(output);
}

/** A socket file that stays for the duration. */
export async function socketAt(path: string): Promise<AsyncDisposable> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
      }),
  };
}
