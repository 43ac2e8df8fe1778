import type { CgroupLimits } from "./cgroup.ts";
import type { EffortConfig, Verb } from "./config.ts";
import { sizeText } from "./kinds.ts";
import type { Settings } from "./settings.ts";
import type { Remarks } from "./texts.ts";

const kib = 1024;
const mib = 1024 * kib;
const defaultHoldMs = 30_000;

export interface Surroundings {
  readonly verb: Verb;
  readonly cgroup: CgroupLimits;
  readonly isTerminal: boolean;
  readonly scheme: "http" | "https";
}

/** Least buffers of one data thread. */
const threadBytes = 4 * mib;
/** Encryption and copying to memory are what threads are for; all else keeps one busy with little more than system calls. */
const mostDefaultThreads = 4;

/** How much to do at once and when to give up; defaults follow the cgroup's limits. */
export function effortConfig(settings: Settings, around: Surroundings, remarks: Remarks): EffortConfig {
  const memoryBytes = settings.get("memory") ?? defaultMemoryBytes(around.cgroup.memoryBytes);
  const partBytes = settings.get("part-size") ?? Math.min(8 * mib, floor(memoryBytes, 4 * kib));
  judgeMemory(settings, { memoryBytes, partBytes, limitBytes: around.cgroup.memoryBytes }, remarks);
  const maxFailures = settings.get("max-failures") ?? (around.verb === "populate" ? 1 : Number.POSITIVE_INFINITY);
  return {
    limitBytesPerSecond: settings.get("throughput"),
    concurrency: settings.get("concurrency") ?? clamp(Math.round(64 * around.cgroup.cpus), 32, 256),
    partBytes,
    memoryBytes,
    memoryLimitBytes: around.cgroup.memoryBytes,
    ...threadCounts(settings, around, memoryBytes, remarks),
    connectTimeoutMs: settings.get("connect-timeout"),
    stallTimeoutMs: settings.get("stall-timeout"),
    minBytesPerSecond: settings.get("min-speed"),
    retries: settings.get("retries"),
    retryForMs: settings.get("retry-for"),
    maxFailures: maxFailures === Number.POSITIVE_INFINITY ? undefined : maxFailures,
    ...failHold(settings, around),
  };
}

function threadCounts(
  settings: Settings,
  { cgroup, scheme }: Surroundings,
  memoryBytes: number,
  { warnings }: Remarks,
): Pick<EffortConfig, "threads" | "threadsIntoMemory"> {
  const given = settings.get("threads");
  const most = Math.floor(memoryBytes / threadBytes);
  if (given !== undefined && given > most) {
    const memory = `${settings.label("memory")} of ${sizeText(memoryBytes)}`;
    warnings.push(`${settings.label("threads")} is ${given}, but ${memory} is enough for ${most} only`);
  }
  const onePerCpu = clamp(Math.floor(cgroup.cpus), 1, mostDefaultThreads);
  const count = (wanted: number): number => clamp(given ?? wanted, 1, most);
  return { threads: count(scheme === "http" ? 1 : onePerCpu), threadsIntoMemory: count(onePerCpu) };
}

/** Only the default grows: who names a duration gets that one. */
function failHold(
  settings: Settings,
  { verb, isTerminal }: Surroundings,
): Pick<EffortConfig, "failHoldMs" | "failHoldGrows"> {
  const given = settings.get("fail-hold");
  if (given !== undefined) return { failHoldMs: given, failHoldGrows: false };
  const holds = verb === "populate" && !isTerminal;
  return { failHoldMs: holds ? defaultHoldMs : 0, failHoldGrows: holds };
}

/** How long to stay alive after wrong options, which leave no Config: as process 1 only, unless asked for. */
export function holdAfterWrongOptionsMs(
  settings: Settings,
  around: Readonly<{ verb: Verb | undefined; isTerminal: boolean; isProcess1: boolean }>,
): number {
  const given = settings.get("fail-hold");
  if (given !== undefined) return given;
  const holds = around.isProcess1 && !around.isTerminal && (around.verb ?? "populate") === "populate";
  return holds ? defaultHoldMs : 0;
}

function judgeMemory(
  settings: Settings,
  sizes: Readonly<{ memoryBytes: number; partBytes: number; limitBytes: number | undefined }>,
  { problems, warnings }: Remarks,
): void {
  const { memoryBytes, partBytes, limitBytes } = sizes;
  if (partBytes > memoryBytes && !settings.broken("memory")) {
    const memory = settings.from("memory") === undefined ? "the default of --memory" : settings.label("memory");
    problems.push(
      `${settings.label("part-size")} is ${sizeText(partBytes)}, more than ${memory}, ${sizeText(memoryBytes)}`,
    );
  }
  if (settings.from("memory") !== undefined && limitBytes !== undefined && memoryBytes > limitBytes / 2) {
    warnings.push(
      `${settings.label("memory")} is ${sizeText(memoryBytes)}, more than half of the cgroup's memory limit of ${limitBytes} bytes`,
    );
  }
}

function defaultMemoryBytes(limitBytes: number | undefined): number {
  return limitBytes === undefined ? 64 * mib : clamp(floor(limitBytes / 6, 64 * kib), 16 * mib, 64 * mib);
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}

function floor(value: number, multiple: number): number {
  return Math.floor(value / multiple) * multiple;
}
