import type { parseFallback } from "../config/parse.ts";
import { exitCodes } from "../engine/exit-code.ts";
import type { ConfigError } from "../errors.ts";
import { escapeControls } from "../observe/escape.ts";
import { createLogDestination, createLogger } from "../observe/log.ts";
import { secretsOfUrl } from "../observe/send.ts";
import { writeTerminationLog } from "../observe/termination-log.ts";
import { readCertificates } from "../run/certificates.ts";
import { hold } from "./hold.ts";
import { readText } from "./input.ts";
import { quit } from "./quit.ts";
import type { Signals } from "./signals.ts";

/** Tells all that is wrong with the options, wherever somebody may look, and gives the exit code. */
export async function refuse(
  error: ConfigError,
  output: ReturnType<typeof parseFallback>,
  signals: Signals,
): Promise<number> {
  signals.settle(exitCodes.configuration);
  const destination = createLogDestination();
  const text = output.logFormat === "text" || (output.logFormat === "auto" && process.stderr.isTTY === true);
  const logger = createLogger({
    format: "json",
    level: output.logLevel,
    destination,
    secrets: () => secretsOfUrl(output.quitUrl),
  });
  const { problems } = error;
  if (text) for (const problem of problems) destination.write(`oss-populator: ${escapeControls(problem)}\n`);
  else for (const problem of problems) logger.error("wrong configuration", { problem });
  const verdict = { outcome: "failed", exitCode: exitCodes.configuration, reason: problems.join("; ") } as const;
  const warning = await writeTerminationLog(verdict, output.terminationLog, { create: output.terminationLogGiven });
  if (warning !== undefined) logger.warn("termination log", { problem: warning });
  await hold(output.failHoldMs, logger, signals.hurry);
  await quit(output, await certificatesOf(output), logger, signals.hurry);
  return exitCodes.configuration;
}

/** For a sidecar that speaks TLS. Certificates that cannot be read are one problem more, and told when the others are mended. */
async function certificatesOf(output: ReturnType<typeof parseFallback>): Promise<string | undefined> {
  const isNeeded = output.quitUrl?.startsWith("https:") && output.caFile !== "-"; // what is on standard input may never end
  return isNeeded ? readCertificates(output, { readText }).catch(() => undefined) : undefined;
}
