import fc from "fast-check";
import { expect, test } from "vitest";
import { runScenario, type Seen } from "./killed-scenario.ts";

test("the engine, killed at any moment and run again, passes over nothing that was not on stable storage", {
  timeout: 120_000,
}, async () => {
  const all: Seen[] = [];
  await fc.assert(
    fc.asyncProperty(fc.nat(2 ** 30), async (seed) => {
      all.push(await runScenario(seed));
    }),
    { numRuns: 100 },
  );
  // Otherwise nothing was tried.
  for (const what of ["resumed", "unsorted", "failed", "killed"] as const) {
    expect([what, all.filter((seen) => seen[what] > 0).length > 5]).toEqual([what, true]);
  }
});
