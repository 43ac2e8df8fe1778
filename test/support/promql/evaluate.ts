import { type Expression, type Matcher, parseQuery } from "./parse.ts";
import type { Labels, Point, Sample, Series } from "./series.ts";

/** How far back the last point of a series still counts, as in Prometheus. */
const lookBackSeconds = 300;

/** What a query says at one moment: a sample for each set of labels; a plain number is one without labels. */
export function evaluate(query: string, series: readonly Series[], atSeconds: number): readonly Sample[] {
  return samplesOf(parseQuery(query), { series, atSeconds });
}

/** The selectors of a query that match no series at all: names or labels that nobody has. */
export function unmatchedSelectors(query: string, series: readonly Series[]): string[] {
  return selectorsOf(parseQuery(query))
    .filter(({ matchers }) => !series.some(({ labels }) => matches(labels, matchers)))
    .map(({ text }) => text);
}

type Selector = Expression & { readonly kind: "selector" };

function selectorsOf(expression: Expression): Selector[] {
  switch (expression.kind) {
    case "number":
      return [];
    case "selector":
      return [expression];
    case "range":
      return [expression.selector];
    case "call":
      return expression.args.flatMap(selectorsOf);
    case "aggregate":
      return selectorsOf(expression.of);
    case "binary":
      return [...selectorsOf(expression.left), ...selectorsOf(expression.right)];
  }
}

interface Moment {
  readonly series: readonly Series[];
  readonly atSeconds: number;
}

function samplesOf(expression: Expression, moment: Moment): Sample[] {
  switch (expression.kind) {
    case "number":
      return [{ labels: {}, value: expression.value }];
    case "selector":
      return latest(expression.matchers, moment);
    case "range":
      throw new Error("a range is no value: put it into rate() or increase()");
    case "call":
      return called(expression.name, expression.args, moment);
    case "aggregate":
      return aggregated(expression.name, expression.by, samplesOf(expression.of, moment));
    case "binary":
      return combined(expression, moment);
  }
}

function latest(matchers: readonly Matcher[], { series, atSeconds }: Moment): Sample[] {
  return series.flatMap(({ labels, points }) => {
    if (!matches(labels, matchers)) return [];
    const point = points.findLast(({ seconds }) => seconds <= atSeconds && seconds > atSeconds - lookBackSeconds);
    return point === undefined ? [] : [{ labels, value: point.value }];
  });
}

function matches(labels: Labels, matchers: readonly Matcher[]): boolean {
  return matchers.every(({ label, operator, value }) => {
    const own = labels[label] ?? "";
    const equal = operator.endsWith("~") ? new RegExp(`^(?:${value})$`).test(own) : own === value;
    return operator.startsWith("!") ? !equal : equal;
  });
}

function called(name: string, args: readonly Expression[], moment: Moment): Sample[] {
  const [first, second] = args;
  if ((name === "rate" || name === "increase") && first?.kind === "range" && args.length === 1) {
    return overRange(first, moment, name === "rate");
  }
  if (name === "histogram_quantile" && first?.kind === "number" && second !== undefined) {
    return quantiles(first.value, samplesOf(second, moment));
  }
  throw new Error(`${name}() is not supported here`);
}

function overRange(
  { selector, seconds }: Expression & { kind: "range" },
  moment: Moment,
  perSecond: boolean,
): Sample[] {
  const { atSeconds } = moment;
  return moment.series.flatMap(({ labels, points }) => {
    if (!matches(labels, selector.matchers)) return [];
    const inside = points.filter((point) => point.seconds > atSeconds - seconds && point.seconds <= atSeconds);
    const increase = extrapolated(inside, atSeconds - seconds, atSeconds);
    if (increase === undefined) return [];
    return [{ labels: without(labels), value: perSecond ? increase / seconds : increase }];
  });
}

/** How much a counter rose between two moments, by the rule of Prometheus: to their edge if a point is near it. */
function extrapolated(points: readonly Point[], from: number, to: number): number | undefined {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined || points.length < 2) return undefined;
  const rises = points.slice(1).map(({ value }, index) => {
    const before = points[index]?.value ?? 0;
    return value < before ? value : value - before; // a counter that fell began anew
  });
  const rise = rises.reduce((sum, each) => sum + each, 0);
  const sampled = last.seconds - first.seconds;
  const near = (sampled / (points.length - 1)) * 1.1;
  const half = sampled / (points.length - 1) / 2;
  const untilZero = rise > 0 && first.value >= 0 ? sampled * (first.value / rise) : Number.POSITIVE_INFINITY;
  const reach = (gap: number) => (gap < near ? gap : half);
  const before = Math.min(reach(first.seconds - from), untilZero);
  return rise * ((sampled + before + reach(to - last.seconds)) / sampled);
}

function quantiles(quantile: number, buckets: readonly Sample[]): Sample[] {
  return [...grouped(buckets, (labels) => without(labels, "le"))].flatMap(([, { labels, members }]) => {
    const sorted = members.map(({ labels: own, value }) => ({
      bound: Number(own.le?.replace("+Inf", "Infinity")),
      value,
    }));
    sorted.sort((a, b) => a.bound - b.bound);
    const value = quantileOf(quantile, sorted);
    return Number.isNaN(value) ? [] : [{ labels, value }];
  });
}

function quantileOf(quantile: number, buckets: readonly { readonly bound: number; readonly value: number }[]): number {
  const total = buckets.at(-1)?.value ?? 0;
  if (total === 0) return Number.NaN;
  const index = buckets.findIndex(({ value }) => value >= quantile * total);
  const bucket = buckets[index];
  const below = buckets[index - 1] ?? { bound: 0, value: 0 };
  if (bucket === undefined || bucket.bound === Number.POSITIVE_INFINITY) return below.bound;
  const share = (quantile * total - below.value) / (bucket.value - below.value);
  return below.bound + (bucket.bound - below.bound) * share;
}

const aggregations: Readonly<Record<string, (values: readonly number[]) => number>> = {
  sum: (values) => values.reduce((sum, value) => sum + value, 0),
  max: (values) => Math.max(...values),
  min: (values) => Math.min(...values),
  avg: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  count: (values) => values.length,
};

function aggregated(name: string, by: readonly string[], samples: readonly Sample[]): Sample[] {
  const aggregate = aggregations[name];
  if (aggregate === undefined) throw new Error(`${name} is not supported here`);
  return [...grouped(samples, (labels) => only(labels, by))].map(([, { labels, members }]) => ({
    labels,
    value: aggregate(members.map(({ value }) => value)),
  }));
}

const arithmetic: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
};

const comparisons: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
};

function combined(expression: Expression & { readonly kind: "binary" }, moment: Moment): Sample[] {
  const { operator, on, left, right } = expression;
  const samples = samplesOf(left, moment);
  const others = samplesOf(right, moment);
  const [number] = left.kind === "number" ? samples : [];
  if (number !== undefined && arithmetic[operator] !== undefined) {
    return others.flatMap(({ labels, value }) => joined(operator, { labels, value: number.value }, value));
  }
  const key = (labels: Labels) => keyOf(on === undefined ? without(labels) : only(labels, on));
  return samples.flatMap((sample) => {
    const other = right.kind === "number" ? others[0] : others.find(({ labels }) => key(labels) === key(sample.labels));
    if (operator === "unless") return other === undefined ? [sample] : [];
    if (other === undefined) return [];
    return operator === "and" ? [sample] : joined(operator, sample, other.value);
  });
}

function joined(operator: string, { labels, value }: Sample, other: number): Sample[] {
  const compare = comparisons[operator];
  if (compare !== undefined) return compare(value, other) ? [{ labels, value }] : [];
  const compute = arithmetic[operator];
  if (compute === undefined) throw new Error(`${operator} is not supported here`);
  return [{ labels: without(labels), value: compute(value, other) }];
}

function grouped(samples: readonly Sample[], keep: (labels: Labels) => Labels) {
  const groups = new Map<string, { readonly labels: Labels; readonly members: Sample[] }>();
  for (const sample of samples) {
    const labels = keep(sample.labels);
    const key = keyOf(labels);
    const group = groups.get(key) ?? { labels, members: [] };
    group.members.push(sample);
    groups.set(key, group);
  }
  return groups;
}

function keyOf(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).toSorted());
}

function only(labels: Labels, names: readonly string[]): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => names.includes(name)));
}

/** Without these and the name, which no result of a computation has. */
function without(labels: Labels, ...names: readonly string[]): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name]) => !names.includes(name) && name !== "__name__"));
}
