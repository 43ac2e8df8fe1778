import { randomBytes } from "node:crypto";
import { type FileHandle, open, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { CopyReport } from "../types.ts";
import { toJson } from "./escape.ts";
import { type Redact, redactNothing } from "./redact.ts";
import { codeOf, messageOf, writeFully } from "./write-fully.ts";

const stdout = 1;
const stdoutPatienceMs = 10_000;

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
    if (target === "-") writeToStdout(bytes);
    else await writeToFile(bytes, target);
    return undefined;
  } catch (error) {
    const place = target === "-" ? "standard output" : target;
    return redact(`cannot write the report to ${place}: ${messageOf(error)}`);
  }
}

function writeToStdout(bytes: Buffer): void {
  if (writeFully(stdout, bytes, stdoutPatienceMs) < bytes.length) throw new Error("nobody reads it");
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
  await withFile(path, "w", async (file) => {
    await file.writeFile(bytes);
    await file.sync().catch(ignoreUnsyncable);
  });
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
