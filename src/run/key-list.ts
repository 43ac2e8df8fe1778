import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import type { SourceConfig } from "../config/config.ts";
import { ConfigError, CopyError } from "../errors.ts";
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

/**
 * The lines of `--files-from`. Throws ConfigError for what cannot be read at all, CopyError `source` for a list that breaks
 * off: what came before may be copied by then.
 */
export async function* keysIn(filesFrom: string, { readLines }: Pick<RunHost, "readLines">): AsyncGenerator<string> {
  let begun = false;
  try {
    for await (const line of readLines(filesFrom)) {
      begun = true;
      yield line;
    }
  } catch (error) {
    throw begun ? new CopyError("source", sentence(filesFrom, error), { cause: error }) : unreadable(filesFrom, error);
  }
}

function unreadable(filesFrom: string, error: unknown): ConfigError {
  return error instanceof ConfigError ? error : new ConfigError([sentence(filesFrom, error)]);
}

function sentence(filesFrom: string, error: unknown): string {
  return `--files-from: cannot read ${filesFrom}: ${error instanceof Error ? error.message : String(error)}`;
}
