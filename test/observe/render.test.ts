import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { expect, test } from "vitest";
import { nextPace, type Pace } from "../../src/observe/progress.ts";
import { renderProgress, renderSummary } from "../../src/observe/render.ts";
import type { Progress } from "../../src/types.ts";
import { progressWith } from "./support.ts";

const before = progressWith({
  listingComplete: true,
  listed: { objects: 10_211, bytes: 6_000_000_000 },
  copied: { objects: 5000, bytes: 2_900_000_000 },
  receivedBytes: 2_900_000_000,
  limitBytesPerSecond: 1_000_000_000,
  inFlight: 64,
});
const after: Progress = {
  ...before,
  copied: { objects: 5104, bytes: 3_000_000_000 },
  failed: { objects: 2, bytes: 0 },
  receivedBytes: 3_000_000_000,
  waits: { sourceSeconds: 40, limiterSeconds: 0, diskSeconds: 1 },
  retried: 12,
};
const pace = nextPace(nextPace(undefined, before, 0), after, 1000);

test("the view says how far, how fast, how long still, and what is waited for", () => {
  expect(renderProgress(pace, { columns: 100, colours: false })).toEqual([
    "copying  [####################--------------------]  50.0 %  ETA 32 s",
    "3 GB of 6 GB  5,106 of 10,211 objects  100 MB/s, 106 objects/s  limit 1 GB/s",
    "waiting for source  64 in flight  12 retries  2 failed",
  ]);
});

test("while the listing goes on there is no percentage and no remaining time", () => {
  const early = progressWith({ phase: "listing", listed: { objects: 3000, bytes: 1e9 } });
  const lines = renderProgress(nextPace(undefined, early, 0), { columns: 100, colours: false });
  expect(lines[0]).toBe("listing  3,000 objects, 1 GB listed so far");
  expect(lines.join("\n")).not.toMatch(/%|ETA| of /);
});

test("no line is wider than the terminal, and colours change no letter", () => {
  const counts = fc.record({ objects: fc.nat(), bytes: fc.nat(Number.MAX_SAFE_INTEGER) });
  const progress = fc
    .record({ listed: counts, copied: counts, failed: counts, listingComplete: fc.boolean(), retried: fc.nat() })
    .map(progressWith);
  fc.assert(
    fc.property(progress, progress, fc.integer({ min: 1, max: 200 }), (first, second, columns) => {
      const random: Pace = nextPace(nextPace(undefined, first, 0), second, 250);
      const plain = renderProgress(random, { columns, colours: false });
      for (const line of plain) {
        expect(line.length).toBeLessThanOrEqual(columns);
        expect(line).toMatch(/^[ -~]*$/);
      }
      expect(renderProgress(random, { columns, colours: true }).map(stripVTControlCharacters)).toEqual(plain);
    }),
  );
});

test("the summary tells what became of the objects", () => {
  expect(renderSummary(pace, 72)).toBe("5,104 copied, 0 skipped, 2 failed, 3 GB in 1m 12s (41.7 MB/s), 12 retries");
  expect(renderSummary(pace, 0)).toContain("3 GB in 0 ms, ");
});
