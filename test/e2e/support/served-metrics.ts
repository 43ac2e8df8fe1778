import type { CliRun } from "./cli.ts";
import { until } from "./waiting.ts";

/** The number of a series in the text format. */
export function numberOf(series: string, text: string | undefined): number | undefined {
  const line = text?.split("\n").find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/** Where a run says that it serves its metrics. */
export async function servedAt(run: CliRun): Promise<string> {
  await run.said(/"event":"serving metrics".*\n/);
  return `http://127.0.0.1:${/"event":"serving metrics".*"port":(\d+)/.exec(run.stderr())?.[1]}`;
}

export async function get(url: string): Promise<string> {
  return (await fetch(url)).text();
}

/** Every value of a series that is served until it is enough. */
export async function valuesUntil(
  url: string,
  series: string,
  enough: (value: number) => boolean | Promise<boolean>,
): Promise<number[]> {
  const seen: number[] = [];
  await until(`enough of ${series}`, async () => {
    const value = numberOf(series, await get(`${url}/metrics`).catch(() => ""));
    if (value !== undefined) seen.push(value);
    return value !== undefined && enough(value);
  });
  return seen;
}
