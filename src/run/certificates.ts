import type { SourceConfig } from "../config/config.ts";
import { ConfigError } from "../errors.ts";
import type { RunHost } from "./host.ts";

/** The text of `--ca-file`, read once: it may be a pipe. Undefined without. Throws ConfigError if it has no certificates. */
export async function readCertificates(
  { caFile }: Pick<SourceConfig, "caFile">,
  { readText }: Pick<RunHost, "readText">,
): Promise<string | undefined> {
  if (caFile === undefined) return undefined;
  try {
    const { createSecureContext } = await import("node:tls");
    const text = await readText(caFile);
    createSecureContext({ ca: text });
    return text;
  } catch (error) {
    throw new ConfigError([
      `--ca-file: cannot use ${caFile}: ${error instanceof Error ? error.message : String(error)}`,
    ]);
  }
}
