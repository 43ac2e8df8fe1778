import type { Config } from "./config/config.ts";
import { buildReport } from "./engine/report.ts";
import { judge, type Verdict } from "./engine/verdict.ts";
import { formatCount } from "./observe/format.ts";
import type { AttemptNote } from "./run/attempt.ts";
import { readCertificates } from "./run/certificates.ts";
import { runCopy } from "./run/copy.ts";
import { runOnDevice } from "./run/device.ts";
import type { RunHost } from "./run/host.ts";
import { expectKeyList } from "./run/key-list.ts";
import { startThreads } from "./run/plane.ts";
import { runPopulate } from "./run/populate.ts";
import { nothingSelected } from "./run/source.ts";
import { RunState } from "./run/state.ts";
import { runVerify } from "./run/verify.ts";
import type { CopyReport } from "./types.ts";
import { findDevice } from "./volume/device.ts";

export interface RunResult {
  readonly report: CopyReport;
  /** How many attempts in a row have ended like this one, as far as the target remembers. */
  readonly failuresInARow: number;
  /** The stack of a defect. */
  readonly stack: string | undefined;
}

/** Runs one verb to its end. Never throws: whatever happens is in the report. */
export async function run(config: Config, host: RunHost): Promise<RunResult> {
  const started = { atMs: Date.now(), clockMs: performance.now() };
  const state = new RunState(host.logger, config.effort.limitBytesPerSecond);
  let note: AttemptNote | undefined;
  let thrown: { readonly error: unknown } | undefined;
  try {
    await using threads = state.threads;
    startThreads(config, threads);
    state.ca = await readCertificates(config.source, host);
    await expectKeyList(config.source);
    await host.onStart(state);
    host.signal.throwIfAborted();
    const device = await findDevice(config.target.directory);
    const onAttempt = (begun: AttemptNote): void => {
      note = begun;
    };
    if (device !== undefined) await runOnDevice(device, config, host, state, onAttempt);
    else if (config.verb === "copy") await runCopy(config, host, state);
    else if (config.verb === "verify") await runVerify(config, host, state);
    else await runPopulate(config, host, state, onAttempt);
  } catch (error) {
    thrown = { error };
  }
  state.phase = "done";
  const verdict = judge(state.ledger, thrown, successSentence(config, state));
  state.exitCode = verdict.exitCode;
  const failuresInARow = verdict.exitCode === 0 ? 0 : await remember(note, verdict, host);
  await note?.release?.();
  const stack = verdict.kind === "defect" && thrown?.error instanceof Error ? thrown.error.stack : undefined;
  return { report: reportOf(config, host, state, verdict, started), failuresInARow, stack };
}

async function remember(note: AttemptNote | undefined, verdict: Verdict, host: RunHost): Promise<number> {
  if (!note) return 1;
  const { exitCode, reason, kind = "unknown" } = verdict;
  try {
    return await note.failed({ at: new Date().toISOString(), exitCode, kind, reason });
  } catch (error) {
    host.logger.warn("the target cannot keep how this attempt ended", { error: String(error) });
    return 1;
  }
}

function successSentence({ verb, dryRun, source }: Config, { ledger }: RunState): string {
  const { listed, copied, skipped } = ledger.counts;
  const objects = (count: number): string => `${formatCount(count)} ${count === 1 ? "object" : "objects"}`;
  if (dryRun) {
    const wanted = listed.objects - skipped.objects - copied.objects;
    return `dry run: ${objects(wanted)} would be copied, nothing was written`;
  }
  if (verb === "verify") return `${objects(skipped.objects)} compared, all equal`;
  if (listed.objects === 0) return nothingSelected(source);
  const unchanged = skipped.objects === 0 ? "" : `, ${formatCount(skipped.objects)} skipped`;
  return `${objects(copied.objects)} copied and verified${unchanged}`;
}

interface Started {
  /** Of the day, and of a clock that nobody sets. */
  readonly atMs: number;
  readonly clockMs: number;
}

function reportOf(config: Config, host: RunHost, state: RunState, verdict: Verdict, started: Started): CopyReport {
  const { source, target, effort, verb, dryRun } = config;
  const { scheme, host: name, port } = source.endpoint;
  const stats = state.stats();
  const tally = state.tally.snapshot();
  return buildReport(state.ledger, verdict, {
    verb,
    version: host.version,
    source: {
      bucket: source.bucket,
      path: source.path,
      endpoint: `${scheme}://${name.includes(":") ? `[${name}]` : name}:${port}`,
      region: source.region ?? null,
    },
    target: target.directory,
    shard: source.shard ?? null,
    dryRun,
    sourceDigest: state.sourceDigest,
    startedAtMs: started.atMs,
    finishedAtMs: Date.now(),
    durationMs: performance.now() - started.clockMs,
    firstStartedAt: state.firstStartedAt,
    resumed: state.resumed,
    receivedBytes: stats.receivedBytes,
    requests: tally.requests,
    limitBytesPerSecond: effort.limitBytesPerSecond,
    waits: {
      sourceSeconds: stats.sourceSeconds,
      limiterSeconds: tally.limiterSeconds,
      diskSeconds: stats.diskSeconds,
    },
    resources: host.resources(),
    durability: state.durability,
  });
}
