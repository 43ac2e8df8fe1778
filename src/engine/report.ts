import type { CopyReport, Counts } from "../types.ts";
import type { Ledger } from "./ledger.ts";
import type { Verdict } from "./verdict.ts";

/** What a report holds besides the ledger's counts and the verdict. */
export interface ReportFacts {
  readonly verb: string;
  readonly version: string;
  readonly source: CopyReport["source"];
  readonly target: string;
  readonly shard: CopyReport["shard"];
  readonly dryRun: boolean;
  readonly sourceDigest: string | undefined;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  /** By a clock that nobody sets: the one of the day may be set during a run, as on a machine that has just started. */
  readonly durationMs: number;
  readonly firstStartedAt: string | undefined;
  /** The checkpoint that the run went on from, and what earlier runs had copied by then. */
  readonly resumed: { readonly fromMs: number; readonly copied: Counts } | undefined;
  readonly receivedBytes: number;
  readonly requests: CopyReport["requests"];
  readonly limitBytesPerSecond: number | undefined;
  readonly waits: CopyReport["waits"];
  readonly resources: CopyReport["resources"];
  readonly durability: CopyReport["durability"];
}

/** The report of a run that has ended. */
export function buildReport(ledger: Ledger, verdict: Verdict, facts: ReportFacts): CopyReport {
  const { counts } = ledger;
  const { resumed } = facts;
  const startedAt = new Date(facts.startedAtMs).toISOString();
  const durationSeconds = Math.round(facts.durationMs) / 1000;
  const perSecond = (amount: number): number => (durationSeconds > 0 ? Math.round(amount / durationSeconds) : 0);
  return {
    schema: "oss-populator.report/v1",
    outcome: verdict.outcome,
    exitCode: verdict.exitCode,
    reason: verdict.reason,
    verb: facts.verb,
    version: facts.version,
    source: facts.source,
    target: facts.target,
    shard: facts.shard,
    dryRun: facts.dryRun,
    sourceDigest: facts.sourceDigest ?? null,
    startedAt,
    firstStartedAt: facts.firstStartedAt ?? startedAt,
    resumedFrom: resumed ? new Date(resumed.fromMs).toISOString() : null,
    finishedAt: new Date(facts.finishedAtMs).toISOString(),
    durationSeconds,
    objects: {
      listed: counts.listed.objects,
      copied: counts.copied.objects,
      skipped: counts.skipped.objects,
      failed: counts.failed.objects,
      resumed: resumed?.copied.objects ?? 0,
    },
    bytes: {
      listed: counts.listed.bytes,
      copied: counts.copied.bytes,
      skipped: counts.skipped.bytes,
      received: facts.receivedBytes,
    },
    verified: { ...ledger.verified },
    requests: facts.requests,
    throughput: {
      bytesPerSecond: perSecond(counts.copied.bytes - (resumed?.copied.bytes ?? 0)),
      objectsPerSecond: perSecond(counts.copied.objects - (resumed?.copied.objects ?? 0)),
      limitBytesPerSecond: facts.limitBytesPerSecond ?? null,
    },
    waits: facts.waits,
    resources: facts.resources,
    durability: facts.durability,
    failures: ledger.failures,
    failuresOmitted: ledger.failuresOmitted,
  };
}
