import type { Config } from "../config/config.ts";
import { exitCodes } from "../engine/exit-code.ts";
import { createLiveView, type LiveView } from "../observe/live-view.ts";
import { createLogDestination, createLogger } from "../observe/log.ts";
import { createRedact } from "../observe/redact.ts";
import { writeReport } from "../observe/report-file.ts";
import { secretsOfUrl } from "../observe/send.ts";
import { writeTerminationLog } from "../observe/termination-log.ts";
import { systemClock } from "../run/clock.ts";
import { proxiesOf } from "../run/proxies.ts";
import type { RunState } from "../run/state.ts";
import { run } from "../run.ts";
import type { CopyReport, Logger } from "../types.ts";
import { hold, holdMs } from "./hold.ts";
import { readLines, readText } from "./input.ts";
import { type MetricsOutlets, openMetricsOutlets } from "./metrics-outlets.ts";
import { quit } from "./quit.ts";
import type { Signals } from "./signals.ts";
import { keepHeapSmall } from "./small-heap.ts";

export interface Surroundings {
  readonly version: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signals: Signals;
  readonly isProcess1: boolean;
  readonly isTerminal: boolean;
}

/** Environment variables whose values must never be shown. */
const secretVariables = [
  "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
  "ALIBABA_CLOUD_SECURITY_TOKEN",
  "ALIBABACLOUD_ACCESS_KEY_SECRET",
  "OSS_ACCESS_KEY_SECRET",
] as const;

/** How long the last push may hold up the exit: shorter after a signal, whose sender waits. */
const patientMs = 3_000;
const hastyMs = 1_000;

/** Runs the verb, shows it while it lasts, and leaves report and termination log. Resolves to the exit code. */
export async function execute(config: Config, around: Surroundings): Promise<number> {
  const { signals, version, env, isProcess1 } = around;
  signals.begin();
  using _ = keepHeapSmall();
  const reading = new AbortController();
  let state: RunState | undefined;
  const given = [config.output.metricsPush, config.output.quitUrl].flatMap(secretsOfUrl);
  const secrets = (): string[] => [
    ...given,
    ...secretVariables.flatMap((name) => env[name] ?? []),
    ...(state?.secrets.list() ?? []),
  ];
  const view = await openView(config, around);
  const destination = view ?? createLogDestination();
  const format = usesText(config, around) ? "text" : "json";
  const colours = view !== undefined && process.stderr.hasColors();
  const logger = createLogger({ format, level: config.output.logLevel, destination, secrets, colours });
  for (const warning of config.warnings) logger.warn("configuration", { problem: warning });
  logger.info("starting", { verb: config.verb, version, source: sourceOf(config), target: config.target.directory });
  let metrics: MetricsOutlets | undefined;
  const { report, failuresInARow, stack } = await run(config, {
    version,
    env,
    signal: signals.signal,
    logger,
    clock: systemClock,
    isProcess1,
    readText,
    readLines: (source) => readLines(source, reading.signal),
    resources,
    onStart: async (started) => {
      state = started;
      const parts = { version, state: started, proxies: proxiesOf(env), logger };
      metrics = await openMetricsOutlets(config, parts);
      view?.start(() => started.progress());
    },
  });
  signals.settle(report.exitCode);
  reading.abort();
  view?.stop();
  await leaveTraces(config, report, logger, createRedact(secrets));
  if (stack !== undefined) logger.error("defect", { stack });
  await metrics?.finish(signals.hurry.aborted ? hastyMs : patientMs);
  if (report.exitCode !== 0 && report.outcome !== "interrupted") {
    const { failHoldMs, failHoldGrows } = config.effort;
    // Wrong options are held for nobody but whoever starts process 1; some are known only once the target is.
    const isHeld = report.exitCode !== exitCodes.configuration || isProcess1 || !failHoldGrows;
    if (isHeld) await hold(holdMs(failHoldMs, failHoldGrows, failuresInARow), logger, signals.hurry);
  }
  await metrics?.[Symbol.asyncDispose]();
  await quit(config.output, state?.ca, logger, signals.hurry);
  return report.exitCode;
}

function usesText({ output }: Config, { isTerminal }: Surroundings): boolean {
  return output.logFormat === "text" || (output.logFormat === "auto" && isTerminal);
}

/** The live view belongs to a terminal, and does not mix with JSON lines. */
async function openView(config: Config, around: Surroundings): Promise<LiveView | undefined> {
  if (!around.isTerminal || !usesText(config, around)) return undefined;
  return createLiveView({
    terminal: process.stderr,
    log: createLogDestination(),
    colours: process.stderr.hasColors(),
  });
}

async function leaveTraces(
  { output }: Config,
  report: CopyReport,
  logger: Logger,
  redact: ReturnType<typeof createRedact>,
): Promise<void> {
  const { exitCode, reason, objects, bytes, durationSeconds } = report;
  const level = exitCode === 0 ? "info" : "error";
  logger[level](report.outcome, { exitCode, reason, objects, bytes, durationSeconds });
  const { terminationLog, terminationLogGiven } = output;
  const warnings = [
    output.report === undefined ? undefined : await writeReport(report, output.report, redact),
    await writeTerminationLog(report, terminationLog, { create: terminationLogGiven, redact }),
  ];
  for (const warning of warnings) if (warning !== undefined) logger.warn("output", { problem: warning });
}

function resources(): { cpuSeconds: number; peakRssBytes: number } {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  return { cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakRssBytes: maxRSS * 1024 };
}

function sourceOf({ source }: Config): string {
  return `oss://${source.bucket}/${source.path}`;
}
