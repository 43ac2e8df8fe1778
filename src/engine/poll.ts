import type { Clock } from "../types.ts";

/** How often it is asked whether something is due. */
const pollMs = 50;

/** Waits for the next time to ask; false once the signal has aborted. */
export async function nextPoll(clock: Clock, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(pollMs, signal);
    return !signal.aborted;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
