import { evaluate } from "../../support/promql/evaluate.ts";
import type { Series } from "../../support/promql/series.ts";
import { objectOf } from "../files.ts";

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** The alert rules of the examples. */
export function readAlerts(): readonly Alert[] {
  const { groups } = objectOf("monitoring.yaml", "PrometheusRule").spec;
  return groups.flatMap(({ rules }: { readonly rules: readonly Alert[] }) => rules);
}

const minute = 60;

/** Series as the alert rules see them: a run of seconds stands for one of minutes, with one scrape a minute. */
export function inAlertTime(series: readonly Series[]): readonly Series[] {
  const times = [...new Set(series.flatMap(({ points }) => points.map(({ seconds }) => seconds)))].toSorted(
    (a, b) => a - b,
  );
  const minutes = new Map(times.map((seconds, index) => [seconds, index * minute]));
  return series.map(({ labels, points }) => ({
    labels,
    points: points.map(({ seconds, value }) => ({ seconds: minutes.get(seconds) ?? 0, value })),
  }));
}

/** Whether the rule holds for as long as it has to, at some time of these series. */
export function fires(alert: Alert, series: readonly Series[]): boolean {
  const ends = series.map(({ points }) => points.at(-1)?.seconds ?? 0);
  const neededSeconds = Number.parseInt(alert.for ?? "0", 10) * minute;
  let since: number | undefined;
  for (let at = 0; at <= Math.max(...ends); at += minute) {
    const holds = evaluate(alert.expr, series, at).length > 0;
    since = holds ? (since ?? at) : undefined;
    if (since !== undefined && at - since >= neededSeconds) return true;
  }
  return false;
}
