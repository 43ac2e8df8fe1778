import type { Metric } from "prom-client";
import type { Operation, PlaneStats, Progress } from "../types.ts";
import { ratioOf } from "./progress.ts";
import { durationBounds, type Tally } from "./tally.ts";

/** Where the numbers come from; all are asked at each scrape. */
export interface MetricsSources {
  readonly tally: Tally;
  readonly progress: () => Progress;
  readonly stats: () => PlaneStats;
  /** Undefined until the verdict. 0 says that everything is in place and on stable storage: only then is progress 100 percent. */
  readonly exitCode: () => number | undefined;
  /** The percentage to show where that one is reached, which never falls; undefined shows none. */
  readonly shown: (percent: number) => Promise<number | undefined>;
}

export interface MetricsOptions {
  readonly version: string;
  /** Closed set of retry kinds, so that their series exist from the start. */
  readonly retryKinds: readonly string[];
  /** UID of the claim; adds the series that CDI's controllers scrape. */
  readonly ownerUid: string | undefined;
}

/** The text that Prometheus reads. */
export interface Exposition {
  readonly contentType: string;
  metrics(): Promise<string>;
}

interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string>>;
  /** Where it differs from the family's. */
  readonly metricName?: string;
}

type Read = () => readonly Sample[] | Promise<readonly Sample[]>;
type Family = readonly [type: "counter" | "gauge" | "histogram", name: string, help: string, read: Read];

const operations = ["list", "get", "head"] as const satisfies readonly Operation[];
const outcomes = ["copied", "skipped", "failed"] as const;

/** Loads prom-client, 50 ms that only a run with metrics pays; nothing but a scrape touches it afterwards. */
export async function createExposition(sources: MetricsSources, options: MetricsOptions): Promise<Exposition> {
  const { Registry, collectDefaultMetrics } = await import("prom-client");
  const registry = new Registry();
  const families = [
    ...requestFamilies(sources, options),
    ...runFamilies(sources),
    ...identityFamilies(sources, options),
  ];
  for (const family of families) registry.registerMetric(metricOf(family));
  collectDefaultMetrics({ register: registry });
  return { contentType: registry.contentType, metrics: () => registry.metrics() };
}

/** A metric that counts nothing itself: its values are read when it is scraped. */
function metricOf([type, name, help, read]: Family): Metric {
  const metric = {
    name,
    help,
    type,
    aggregator: "sum",
    get: async () => ({ name, help, type, values: await read() }),
  };
  // prom-client's own classes cannot take over a histogram; of a registered metric it uses `name` and `get` only.
  return metric as unknown as Metric;
}

function requestFamilies({ tally, progress }: MetricsSources, { retryKinds }: MetricsOptions): Family[] {
  const requests: Read = () =>
    operations.flatMap((operation) =>
      [...tally.statuses(operation)].map(([status, value]) => ({ value, labels: { operation, status } })),
    );
  const retries: Read = () => {
    const counts = tally.retries();
    const kinds = new Set([...retryKinds, ...counts.keys()]);
    return [...kinds].map((kind) => ({ value: counts.get(kind) ?? 0, labels: { kind } }));
  };
  const durations = "oss_populator_request_duration_seconds";
  return [
    [
      "counter",
      "oss_populator_requests_total",
      "Requests by operation and status: ok, aborted, or the kind of failure.",
      requests,
    ],
    [
      "histogram",
      durations,
      "Duration of requests.",
      () => operations.flatMap((op) => histogram(durations, op, tally)),
    ],
    ["counter", "oss_populator_retries_total", "Retries by error kind.", retries],
    ["gauge", "oss_populator_in_flight_requests", "Requests under way.", one(() => progress().inFlight)],
  ];
}

function runFamilies({ tally, progress, stats }: MetricsSources): Family[] {
  const counts = () => tally.snapshot();
  const objects: Read = () => {
    const snapshot = counts();
    return outcomes.map((outcome) => ({ value: snapshot[outcome].objects, labels: { outcome } }));
  };
  const received = rising(() => stats().receivedBytes);
  const written = rising(() => stats().writtenBytes);
  const source = rising(() => stats().sourceSeconds);
  const disk = rising(() => stats().diskSeconds);
  const waits: Read = () => [
    { value: source(), labels: { on: "source" } },
    { value: counts().limiterSeconds, labels: { on: "limiter" } },
    { value: disk(), labels: { on: "disk" } },
  ];
  // An object that is gone since an earlier run is taken off what was listed.
  const listedObjects = rising(() => counts().listed.objects);
  const listedBytes = rising(() => counts().listed.bytes);
  const limit = () => progress().limitBytesPerSecond ?? 0;
  return [
    ["counter", "oss_populator_objects_total", "Objects by outcome.", objects],
    ["counter", "oss_populator_bytes_total", "Bytes of copied objects.", one(() => counts().copied.bytes)],
    ["counter", "oss_populator_written_bytes_total", "Bytes written to the target.", one(written)],
    ["counter", "oss_populator_received_bytes_total", "Bytes received from the source.", one(received)],
    ["counter", "oss_populator_listed_objects_total", "Objects listed.", one(listedObjects)],
    ["counter", "oss_populator_listed_bytes_total", "Bytes of listed objects.", one(listedBytes)],
    ["gauge", "oss_populator_listing_complete", "1 once all is listed.", one(() => Number(counts().listingComplete))],
    ["counter", "oss_populator_wait_seconds_total", "Seconds waited, summed over requests.", waits],
    ["gauge", "oss_populator_buffer_bytes", "Bytes in buffers.", one(() => stats().bufferBytes)],
    ["gauge", "oss_populator_throughput_limit_bytes_per_second", "The limit; 0 if there is none.", one(limit)],
    ["gauge", "oss_populator_progress_ratio", "Done work; 0 until all is listed.", one(() => ratioOf(progress()) ?? 0)],
  ];
}

function identityFamilies(sources: MetricsSources, { version, ownerUid }: MetricsOptions): Family[] {
  const { progress, exitCode, shown } = sources;
  const info: Family = ["gauge", "oss_populator_info", "The program.", () => [{ value: 1, labels: { version } }]];
  const code: Read = () => samples(exitCode(), {});
  const families: Family[] = [info, ["gauge", "oss_populator_exit_code", "The exit code, once it is known.", code]];
  if (ownerUid === undefined) return families;
  const read: Read = async () => samples(await shown(percentOf(progress(), exitCode())), { ownerUID: ownerUid });
  return [...families, ["counter", "kubevirt_cdi_import_progress_total", "Progress of the import in percent.", read]];
}

function samples(value: number | undefined, labels: NonNullable<Sample["labels"]>): Sample[] {
  return value === undefined ? [] : [{ value, labels }];
}

/** Two decimals and below 100 until the data is known to be safe, because the readers' pattern knows no exponent. */
function percentOf(progress: Progress, exitCode: number | undefined): number {
  if (progress.phase === "done" && exitCode === 0) return 100;
  return Math.min(99.99, Math.floor((ratioOf(progress) ?? 0) * 10_000) / 100);
}

function histogram(name: string, operation: Operation, tally: Tally): Sample[] {
  const { buckets, sumSeconds, count } = tally.durations(operation);
  let total = 0;
  const cumulative = durationBounds.map((bound, index) => {
    total += buckets[index] ?? 0;
    return { metricName: `${name}_bucket`, value: total, labels: { le: String(bound), operation } };
  });
  return [
    ...cumulative,
    { metricName: `${name}_bucket`, value: count, labels: { le: "+Inf", operation } },
    { metricName: `${name}_sum`, value: sumSeconds, labels: { operation } },
    { metricName: `${name}_count`, value: count, labels: { operation } },
  ];
}

function one(value: () => number): Read {
  return () => [{ value: value() }];
}

/** A counter never falls, even when what it is read from does: a scraper would take that for a new beginning from 0. */
function rising(value: () => number): () => number {
  let highest = 0;
  return () => {
    highest = Math.max(highest, value());
    return highest;
  };
}
