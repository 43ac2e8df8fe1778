import type { OutputConfig } from "../config/config.ts";
import { tellToQuit } from "../observe/quit.ts";
import type { Logger } from "../types.ts";

/** How long it may hold up the exit: shorter after a signal, whose sender waits. */
const patientMs = 2_000;
const hastyMs = 1_000;

/** The last thing of all: whoever waits for our end, such as a service mesh's sidecar, may go too. */
export async function quit(
  { quitUrl }: Pick<OutputConfig, "quitUrl">,
  ca: string | undefined,
  logger: Logger,
  hurry: AbortSignal,
): Promise<void> {
  if (quitUrl === undefined) return;
  const problem = await tellToQuit(quitUrl, { timeoutMs: hurry.aborted ? hastyMs : patientMs, ca });
  if (problem !== undefined) logger.warn("output", { problem });
}
