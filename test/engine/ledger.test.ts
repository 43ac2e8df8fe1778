import { expect, test } from "vitest";
import { Ledger } from "../../src/engine/ledger.ts";
import { CopyError } from "../../src/errors.ts";
import { RecordingMetrics, silentLogger } from "../support/observers.ts";
import { entryOf } from "../support/sources.ts";

function setUp() {
  const metrics = new RecordingMetrics();
  return { metrics, ledger: new Ledger(metrics, silentLogger) };
}

test("counts objects and bytes of each end", () => {
  const { ledger, metrics } = setUp();
  const [a, b, c] = [5, 6, 7].map((sizeBytes) => entryOf(`k${sizeBytes}`, { sizeBytes })) as [never, never, never];
  ledger.listed([a, b, c]);
  ledger.copied("k5", 50, "crc64");
  ledger.skipped(b, "unchanged");
  ledger.failed(c, new CopyError("missing", "gone", { requestId: "R" }));
  expect(ledger.counts).toEqual({
    listed: { objects: 3, bytes: 18 },
    copied: { objects: 1, bytes: 50 },
    skipped: { objects: 1, bytes: 6 },
    failed: { objects: 1, bytes: 7 },
  });
  expect(ledger.verified).toEqual({ crc64: 1, md5: 0, lengthOnly: 0 });
  expect(ledger.failures).toEqual([{ key: "k7", kind: "missing", message: "gone", requestId: "R" }]);
  expect([...ledger.failureKinds]).toEqual(["missing"]);
  expect(metrics.outcomes).toEqual(["copied 50", "skipped 6", "failed 7"]);
});

test("keeps the first hundred failures and counts the others", () => {
  const { ledger } = setUp();
  for (let i = 0; i < 250; i++) ledger.failed(entryOf(`k${i}`), new CopyError("missing", ""));
  expect(ledger.failures).toHaveLength(100);
  expect(ledger.failures.at(-1)?.key).toBe("k99");
  expect(ledger.failuresOmitted).toBe(150);
});

test("a failure of something that is not listed is no failed object", () => {
  const { ledger } = setUp();
  ledger.unlisted("extra", new CopyError("different", ""));
  expect(ledger.counts.failed.objects).toBe(0);
  expect(ledger.failures).toHaveLength(1);
  expect([...ledger.failureKinds]).toEqual(["different"]);
});

test("what is equal already counts as skipped, with its proof", () => {
  const { ledger } = setUp();
  ledger.matched(entryOf("a"), "md5");
  ledger.matched(entryOf("d/"), undefined);
  expect(ledger.counts.skipped.objects).toBe(2);
  expect(ledger.verified.md5).toBe(1);
});

test("the listing is complete when it has ended", () => {
  const { ledger } = setUp();
  expect(ledger.listingComplete).toBe(false);
  ledger.listingEnded();
  expect(ledger.listingComplete).toBe(true);
});
