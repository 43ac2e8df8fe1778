import type { RealRunOptions } from "./real-run.ts";

/** A run that meets a bit of everything: refused and broken answers, and an object that cannot be copied. */
export const troubles: RealRunOptions = {
  faults: [
    { kind: "status", status: 503, operation: "get", nth: 120, every: 1, times: 15 },
    { kind: "reset", operation: "get", every: 61 },
    { kind: "flipBit", at: 7, operation: "get", keyPattern: "small/.*0017" },
  ],
  args: ["--retries", "2"],
};
