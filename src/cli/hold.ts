import { setTimeout } from "node:timers/promises";
import type { Logger } from "../types.ts";

/** The longest hold, however often the same failure came. */
const mostMs = 5 * 60_000;

/** How long to stay alive after a failure that came `inARow` times: doubling, if it grows. */
export function holdMs(baseMs: number, grows: boolean, inARow: number): number {
  if (!grows) return baseMs;
  return Math.max(baseMs, Math.min(mostMs, baseMs * 2 ** Math.min(30, Math.max(0, inARow - 1))));
}

/** Stays alive, so that a controller's loop of attempts stays slow and the log can be read; `hurry` ends it at once. */
export async function hold(ms: number, logger: Logger, hurry: AbortSignal): Promise<void> {
  if (ms <= 0 || hurry.aborted) return;
  logger.info("holding before the exit, so that this log can be read", { seconds: ms / 1000, option: "--fail-hold" });
  await setTimeout(ms, undefined, { signal: hurry }).catch(() => {});
}
