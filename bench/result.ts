/** What scenarios hand to the outputs. */

/** One run of one contender. */
export interface Sample {
  readonly contender: string;
  readonly round: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakRssBytes: number;
  /** What only this scenario measures. */
  readonly extra?: Readonly<Record<string, number>>;
}

/** A number that a scenario shows of each contender. */
export interface Metric {
  readonly title: string;
  readonly digits: number;
  readonly better: "less" | "more";
  /** NaN where a contender has no such number. */
  of(sample: Sample): number;
}

export interface ScenarioResult {
  readonly name: string;
  /** One sentence: what is done. */
  readonly title: string;
  readonly metrics: readonly Metric[];
  readonly samples: readonly Sample[];
  /** Sentences for below the table, such as contenders that failed. */
  readonly notes: readonly string[];
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** NaN for no values. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2;
  return { median, min: at(0), max: at(sorted.length - 1) };
}

/** Contenders in the order of their first runs. */
export function contendersOf({ samples }: ScenarioResult): string[] {
  return [...new Set(samples.map(({ contender }) => contender))];
}

export function spreadOf(result: ScenarioResult, contender: string, metric: Metric): Spread {
  return spread(result.samples.filter((sample) => sample.contender === contender).map((sample) => metric.of(sample)));
}

export const wallSeconds: Metric = {
  title: "wall s",
  digits: 2,
  better: "less",
  of: (sample) => sample.wallSeconds,
};

export const peakMiB: Metric = {
  title: "peak MiB",
  digits: 0,
  better: "less",
  of: (sample) => sample.peakRssBytes / 2 ** 20 || Number.NaN,
};

/** How much of so many objects a second was reached. */
export function shareOf(objectsPerSecond: number, objects: number): Metric {
  return {
    title: "share of the ceiling",
    digits: 2,
    better: "more",
    of: (sample) => objects / sample.wallSeconds / objectsPerSecond,
  };
}

/** Rate and cost of so many bytes. */
export function byteMetrics(bytes: number): Metric[] {
  return [
    { title: "MiB/s", digits: 0, better: "more", of: (sample) => bytes / 2 ** 20 / sample.wallSeconds },
    {
      title: "CPU s/GiB",
      digits: 2,
      better: "less",
      of: (sample) => sample.cpuSeconds / (bytes / 2 ** 30) || Number.NaN,
    },
  ];
}

/** Rate and cost of so many objects. */
export function objectMetrics(objects: number): Metric[] {
  return [
    { title: "objects/s", digits: 0, better: "more", of: (sample) => objects / sample.wallSeconds },
    {
      title: "CPU µs/object",
      digits: 0,
      better: "less",
      of: (sample) => (sample.cpuSeconds / objects) * 1e6 || Number.NaN,
    },
  ];
}
