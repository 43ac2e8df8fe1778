import { expect, test } from "vitest";
import { Ledger } from "../../src/engine/ledger.ts";
import { buildReport, type ReportFacts } from "../../src/engine/report.ts";
import { RecordingMetrics, silentLogger } from "../support/observers.ts";
import { entryOf } from "../support/sources.ts";

const startedAtMs = Date.parse("2026-01-02T03:04:05.000Z");
const facts: ReportFacts = {
  verb: "populate",
  version: "0",
  source: { bucket: "some-bucket", path: "data/", endpoint: "http://127.0.0.1:9", region: null },
  target: "/t",
  shard: null,
  dryRun: false,
  sourceDigest: undefined,
  startedAtMs,
  finishedAtMs: startedAtMs,
  durationMs: 4000.4,
  firstStartedAt: undefined,
  resumed: undefined,
  receivedBytes: 0,
  requests: { list: 1, get: 1, head: 0, retried: 0, throttled: 0 },
  limitBytesPerSecond: undefined,
  waits: { sourceSeconds: 0, limiterSeconds: 0, diskSeconds: 0 },
  resources: { cpuSeconds: 0, peakRssBytes: 0 },
  durability: "fsync",
};

test.for([-86_400_000, 0, 86_400_000])(
  "a clock of the day that is set by %i ms during a run changes neither how long it took nor how fast it was",
  (setByMs) => {
    const ledger = new Ledger(new RecordingMetrics(), silentLogger);
    ledger.listed([entryOf("k", { sizeBytes: 8000 })]);
    ledger.copied("k", 8000, "crc64");
    const finishedAtMs = startedAtMs + 4000 + setByMs;
    const verdict = { outcome: "complete", exitCode: 0, reason: "done", kind: undefined } as const;

    expect(buildReport(ledger, verdict, { ...facts, finishedAtMs })).toMatchObject({
      startedAt: "2026-01-02T03:04:05.000Z",
      finishedAt: new Date(finishedAtMs).toISOString(),
      durationSeconds: 4,
      throughput: { bytesPerSecond: 2000 },
    });
  },
);
