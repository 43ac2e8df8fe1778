import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { CopyReport } from "../types.ts";
import { toJson } from "./escape.ts";
import { type Redact, redactNothing } from "./redact.ts";
import { codeOf, messageOf, writeFully } from "./write-fully.ts";

const stdout = 1;
/** How long a reader may keep us waiting, or keep itself. */
const readerPatienceMs = 10_000;
const readerPauseMs = 50;

/**
 * Writes the report to a file, atomically and durably, or for `-` to standard output. A failure is not thrown: it comes
 * back as a sentence for a warning.
 */
export async function writeReport(
  report: CopyReport,
  target: string,
  redact: Redact = redactNothing,
): Promise<string | undefined> {
  const bytes = Buffer.from(`${toJson(report, redact, 2)}\n`);
  try {
    if (target === "-") writeToReader(stdout, bytes);
    else await writeToFile(bytes, target);
    return undefined;
  } catch (error) {
    const place = target === "-" ? "standard output" : target;
    return redact(`cannot write the report to ${place}: ${messageOf(error)}`);
  }
}

function writeToReader(fd: number, bytes: Buffer): void {
  if (writeFully(fd, bytes, readerPatienceMs) < bytes.length) throw new Error("nobody reads it");
}

async function writeToFile(bytes: Buffer, target: string): Promise<void> {
  const existing = await stat(target).catch(absent);
  // A pipe or device is the reader's: replacing its name would hide the report from it.
  if (existing !== undefined && !existing.isFile()) return await writeInPlace(bytes, target);
  const path = existing === undefined ? target : await realpath(target);
  try {
    await replace(bytes, path);
  } catch (error) {
    if (codeOf(error) !== "EBUSY") throw error; // a file that is itself a mount point cannot be renamed over
    await writeInPlace(bytes, path);
  }
}

async function replace(bytes: Buffer, path: string): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await withFile(temporary, "wx", async (file) => {
      await file.writeFile(bytes);
      await file.sync();
    });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await withFile(dirname(path), "r", (directory) => directory.sync());
}

async function writeInPlace(bytes: Buffer, path: string): Promise<void> {
  await using file = await openInPlace(path);
  writeToReader(file.fd, bytes);
  await file.sync().catch(ignoreUnsyncable);
}

/** A named pipe opens while somebody reads it, and whoever was to read this one may have gone for good. */
async function openInPlace(path: string): Promise<FileHandle> {
  for (let waitedMs = 0; ; waitedMs += readerPauseMs) {
    try {
      return await open(path, constants.O_WRONLY | constants.O_TRUNC | constants.O_NONBLOCK);
    } catch (error) {
      if (codeOf(error) !== "ENXIO") throw error;
      if (waitedMs >= readerPatienceMs) throw new Error("nobody reads it");
      await setTimeout(readerPauseMs);
    }
  }
}

async function withFile(path: string, flags: string, use: (file: FileHandle) => Promise<void>): Promise<void> {
  await using file = await open(path, flags, 0o644);
  await use(file);
}

function absent(error: unknown): undefined {
  if (codeOf(error) !== "ENOENT") throw error;
}

function ignoreUnsyncable(error: unknown): void {
  const code = codeOf(error);
  if (code !== "EINVAL" && code !== "EROFS" && code !== "ENOTSUP") throw error;
}
