import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CopyReport, Progress } from "../../src/types.ts";

/** A folder that vanishes with its scope. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "observe-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

export function progressWith(changes: Partial<Progress> = {}): Progress {
  return {
    phase: "copying",
    listed: { objects: 0, bytes: 0 },
    listingComplete: false,
    copied: { objects: 0, bytes: 0 },
    skipped: { objects: 0, bytes: 0 },
    failed: { objects: 0, bytes: 0 },
    receivedBytes: 0,
    writtenBytes: 0,
    inFlight: 0,
    bufferBytes: 0,
    limitBytesPerSecond: undefined,
    waits: { sourceSeconds: 0, limiterSeconds: 0, diskSeconds: 0 },
    retried: 0,
    ...changes,
  };
}

export function reportWith(changes: Partial<CopyReport> = {}): CopyReport {
  return {
    schema: "oss-populator.report/v1",
    outcome: "complete",
    exitCode: 0,
    reason: "3 objects are in place.",
    verb: "populate",
    version: "0.1.0",
    source: { bucket: "models", path: "a/b/", endpoint: "https://oss.example", region: "cn-hangzhou" },
    target: "/mnt/target",
    shard: null,
    dryRun: false,
    sourceDigest: "0".repeat(64),
    startedAt: "2026-01-02T03:04:05.000Z",
    firstStartedAt: "2026-01-02T03:04:05.000Z",
    resumedFrom: null,
    finishedAt: "2026-01-02T03:05:05.000Z",
    durationSeconds: 60,
    objects: { listed: 3, copied: 3, skipped: 0, failed: 0, resumed: 0 },
    bytes: { listed: 300, copied: 300, skipped: 0, received: 300 },
    verified: { crc64: 3, md5: 0, lengthOnly: 0 },
    requests: { list: 1, get: 3, head: 0, retried: 0, throttled: 0 },
    throughput: { bytesPerSecond: 5, objectsPerSecond: 0.05, limitBytesPerSecond: null },
    waits: { sourceSeconds: 1, limiterSeconds: 0, diskSeconds: 0 },
    resources: { cpuSeconds: 1, peakRssBytes: 100_000_000 },
    durability: "syncfs",
    failures: [],
    failuresOmitted: 0,
    ...changes,
  };
}
