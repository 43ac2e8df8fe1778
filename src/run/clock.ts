import { setTimeout } from "node:timers/promises";
import type { Clock } from "../types.ts";

/** The machine's own time and chance. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await setTimeout(ms, undefined, { signal });
    } catch {
      throw signal.reason; // not the AbortError that wraps it
    }
  },
  random: () => Math.random(),
};
