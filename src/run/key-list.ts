import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import type { SourceConfig } from "../config/config.ts";
import { ConfigError } from "../errors.ts";
import type { RunHost } from "./host.ts";

/** Finds out before anything is written whether `--files-from` can be read. Throws ConfigError. */
export async function expectKeyList({ filesFrom }: Pick<SourceConfig, "filesFrom">): Promise<void> {
  if (filesFrom === undefined || filesFrom === "-") return;
  try {
    // Not opened: it may be a pipe, which is read once.
    await access(filesFrom, constants.R_OK);
    if ((await stat(filesFrom)).isDirectory()) throw new ConfigError([`--files-from: ${filesFrom} is a directory`]);
  } catch (error) {
    throw unreadable(filesFrom, error);
  }
}

/** The lines of `--files-from`. Throws ConfigError where they cannot be read. */
export async function* keysIn(filesFrom: string, { readLines }: Pick<RunHost, "readLines">): AsyncGenerator<string> {
  try {
    yield* readLines(filesFrom);
  } catch (error) {
    throw unreadable(filesFrom, error);
  }
}

/** Whatever is no system error comes back as it is. */
function unreadable(filesFrom: string, error: unknown): unknown {
  if (!(error instanceof Error && "syscall" in error)) return error;
  return new ConfigError([`--files-from: cannot read ${filesFrom}: ${error.message}`]);
}
