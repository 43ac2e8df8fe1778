import type { Counts, Phase, PlaneStats, Progress } from "../types.ts";
import type { TallySnapshot } from "./tally.ts";

/** What an object costs beside its bytes, in bytes: about what one moves in the time that a small object takes. */
const objectCostBytes = 65_536;

/** Shown work of a run that is not over stays below the whole. */
const almost = 0.999;

/** Fewer waiting requests than this, on average, are none. */
const leastWaiting = 0.05;

const waiters = ["source", "limiter", "disk"] as const;
export type Waiter = (typeof waiters)[number];

/** The run at this moment from its parts. */
export function progressOf(parts: {
  readonly phase: Phase;
  readonly tally: TallySnapshot;
  readonly stats: PlaneStats;
  readonly limitBytesPerSecond: number | undefined;
}): Progress {
  const { phase, tally, stats, limitBytesPerSecond } = parts;
  return {
    phase,
    listed: tally.listed,
    listingComplete: tally.listingComplete,
    copied: tally.copied,
    skipped: tally.skipped,
    failed: tally.failed,
    receivedBytes: stats.receivedBytes,
    writtenBytes: stats.writtenBytes,
    inFlight: tally.inFlight,
    bufferBytes: stats.bufferBytes,
    limitBytesPerSecond,
    waits: {
      sourceSeconds: stats.sourceSeconds,
      limiterSeconds: tally.limiterSeconds,
      diskSeconds: stats.diskSeconds,
    },
    retried: tally.requests.retried,
  };
}

/** Objects that have their outcome. */
export function settled({ copied, skipped, failed }: Progress): Counts {
  return {
    objects: copied.objects + skipped.objects + failed.objects,
    bytes: copied.bytes + skipped.bytes + failed.bytes,
  };
}

/** Bytes of settled objects and, as far as it is known, of those under way; never more than were listed. */
export function bytesDone(progress: Progress): number {
  const done = settled(progress).bytes;
  const underWay = Math.max(0, progress.writtenBytes - progress.copied.bytes - progress.failed.bytes);
  return Math.max(done, Math.min(progress.listed.bytes, done + underWay));
}

/** Share of the work that is done, in [0, 1]; undefined until the listing is complete, 1 when every object is settled. */
export function ratioOf(progress: Progress): number | undefined {
  if (!progress.listingComplete) return undefined;
  if (settled(progress).objects >= progress.listed.objects) return 1;
  return Math.min(almost, workDone(progress) / workOf(progress.listed));
}

/** How fast the run moves, smoothed; made by `nextPace` from one look after the other. */
export interface Pace {
  /** The look that it was made from. */
  readonly progress: Progress;
  readonly atMs: number;
  /** Per second; undefined after the first look, which only sets the origin. */
  readonly rates: Readonly<Totals> | undefined;
}

interface Totals {
  receivedBytes: number;
  objects: number;
  work: number;
  /** Seconds waited in a second: the number of requests that wait, on average. */
  source: number;
  limiter: number;
  disk: number;
}

/** Time constants of the smoothing, seconds. */
const smoothing: Readonly<Totals> = { receivedBytes: 5, objects: 5, work: 20, source: 1, limiter: 1, disk: 1 };

/** The pace at `nowMs` (monotonic) after the pace of an earlier look. */
export function nextPace(previous: Pace | undefined, progress: Progress, nowMs: number): Pace {
  if (previous === undefined) return { progress, atMs: nowMs, rates: undefined };
  const seconds = (nowMs - previous.atMs) / 1000;
  if (seconds <= 0) return previous;
  const before = totals(previous.progress);
  const now = totals(progress);
  const rate = (name: keyof Totals) => {
    const latest = Math.max(0, now[name] - before[name]) / seconds;
    const old = previous.rates?.[name] ?? latest;
    return old + (latest - old) * -Math.expm1(-seconds / smoothing[name]);
  };
  const rates: Totals = {
    receivedBytes: rate("receivedBytes"),
    objects: rate("objects"),
    work: rate("work"),
    source: rate("source"),
    limiter: rate("limiter"),
    disk: rate("disk"),
  };
  return { progress, atMs: nowMs, rates };
}

/** Seconds until every object is settled; undefined until the listing is complete and while nothing moves. */
export function etaSeconds({ progress, rates }: Pace): number | undefined {
  const ratio = ratioOf(progress);
  if (ratio === undefined || ratio === 1 || rates === undefined || rates.work < 1) return undefined;
  return (workOf(progress.listed) * (1 - ratio)) / rates.work;
}

/** What most requests wait for now; undefined when hardly any does. */
export function waitingFor({ rates }: Pace): Waiter | undefined {
  if (rates === undefined) return undefined;
  const most = waiters.reduce((a, b) => (rates[b] > rates[a] ? b : a));
  return rates[most] < leastWaiting ? undefined : most;
}

/** What `/progress` answers: the progress itself and what follows from it; null where it is not known. */
export function progressDocument(pace: Pace): object {
  const { progress, rates } = pace;
  return {
    ...progress,
    limitBytesPerSecond: progress.limitBytesPerSecond ?? null,
    ratio: ratioOf(progress) ?? null,
    bytesDone: bytesDone(progress),
    bytesPerSecond: rates === undefined ? null : Math.round(rates.receivedBytes),
    objectsPerSecond: rates === undefined ? null : Math.round(rates.objects * 10) / 10,
    etaSeconds: etaSeconds(pace) ?? null,
    waitingFor: waitingFor(pace) ?? null,
  };
}

function totals(progress: Progress): Totals {
  const { sourceSeconds: source, limiterSeconds: limiter, diskSeconds: disk } = progress.waits;
  const { objects } = settled(progress);
  return { receivedBytes: progress.receivedBytes, objects, work: workDone(progress), source, limiter, disk };
}

function workOf({ objects, bytes }: Counts): number {
  return bytes + objects * objectCostBytes;
}

function workDone(progress: Progress): number {
  return workOf({ objects: settled(progress).objects, bytes: bytesDone(progress) });
}
