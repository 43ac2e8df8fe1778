/** The dashboard and the alert rules on the metrics of real runs. */
import { beforeAll, describe, expect, test } from "vitest";
import { unmatchedSelectors } from "../../support/promql/evaluate.ts";
import type { Series } from "../../support/promql/series.ts";
import { type Alert, fires, inAlertTime, readAlerts } from "./alerts.ts";
import { readDashboard, withVariables } from "./dashboard.ts";
import { type RealRun, scrapeRealRun, scrapeSeconds } from "./real-run.ts";
import { drawDashboard, linesOf, linesOfTarget } from "./svg.ts";
import { troubles } from "./troubles.ts";

const dashboard = readDashboard();
const alerts = readAlerts();
const targets = dashboard.panels.flatMap((panel) =>
  panel.targets.map((target) => ({ title: panel.title, ...target, target })),
);

let troubled: RealRun;
let healthy: RealRun;
let refused: RealRun;
let silent: RealRun;

beforeAll(async () => {
  const throttling = { kind: "status", status: 503, operation: "get", every: 3 } as const;
  const silence = { kind: "stall", operation: "get" } as const;
  const cut = { scrapesAfterListing: 25 };
  [troubled, healthy, refused, silent] = await Promise.all([
    scrapeRealRun(troubles),
    scrapeRealRun(),
    scrapeRealRun({ faults: [throttling], args: ["--retries", "100"], ...cut }),
    scrapeRealRun({ faults: [silence], ...cut }),
  ]);
}, 120_000);

describe("the dashboard", () => {
  test("comes from runs that ended as they should", () => {
    expect([troubled.exitCode, healthy.exitCode]).toEqual([6, 0]);
  });

  test.each(targets)("$title: $legendFormat shows something", ({ target }) => {
    expect(unmatchedSelectors(withVariables(target.expr, 1), troubled.series)).toEqual([]);
    const lines = linesOfTarget(target, troubled);
    expect(lines.length).toBeGreaterThan(0);
    for (const { legend, points } of lines) {
      expect(legend.trim()).not.toBe("");
      expect(points.length).toBeGreaterThan(0);
    }
    expect(lines.flatMap(({ points }) => points).some(({ value }) => value > 0)).toBe(true);
  });

  test("shows at the end that all is settled, and what has failed", () => {
    const last = (title: string, run: RealRun) => {
      const panel = dashboard.panels.find((each) => each.title === title);
      if (panel === undefined) throw new Error(`no panel ${title}`);
      return linesOf(panel, run).map(({ points }) => points.at(-1)?.value);
    };
    expect(last("Progress", troubled)).toEqual([1]);
    expect(last("Failed objects", healthy)).toEqual([0]);
    expect(last("Failed objects", troubled)).toEqual([1]);
  });

  test("has a panel for all that it must show", () => {
    const text = JSON.stringify(dashboard.panels);
    const metrics = ["progress_ratio", "received_bytes", "limit_bytes_per_second", "wait_seconds", "requests_total"];
    for (const metric of [...metrics, "retries_total", "in_flight_requests", "process_cpu_seconds", "outcome"]) {
      expect(text).toContain(metric);
    }
  });

  test("is drawn without a hole", () => {
    const svg = drawDashboard(dashboard, troubled);
    expect(svg.match(/<polyline/g)?.length).toBeGreaterThan(dashboard.panels.length);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    for (const { title } of dashboard.panels) expect(svg).toContain(title);
  });

  test("has panels beside each other, with ids of their own and a sentence each", () => {
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { title, description, gridPos: own } of dashboard.panels) {
      expect(description, title).toMatch(/\.$/);
      const above = dashboard.panels.filter(
        ({ gridPos: { x, y, w, h } }) => x < own.x + own.w && own.x < x + w && y < own.y + own.h && own.y < y + h,
      );
      expect(above.map((panel) => panel.title)).toEqual([title]);
    }
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(["datasource", "namespace", "pod"]);
  });
});

/** The run as it would look if one of its metrics were so many times as large. */
function enlarged({ series }: RealRun, factor: number, name: string): readonly Series[] {
  return series.map((each) => {
    if (each.labels.__name__ !== name) return each;
    return { ...each, points: each.points.map((point) => ({ ...point, value: point.value * factor })) };
  });
}

/** The run as if nothing had happened in it for so many scrapes more: on a busy machine there are few while it lasts. */
function prolonged(series: readonly Series[], scrapes: number): readonly Series[] {
  const ends = Math.max(...series.map(({ points }) => points.at(-1)?.seconds ?? 0));
  return series.map(({ labels, points }) => {
    const value = points.at(-1)?.value ?? 0;
    const more = Array.from({ length: scrapes }, (_, i) => ({ seconds: ends + (i + 1) * scrapeSeconds, value }));
    return { labels, points: [...points, ...more] };
  });
}

/** The run as it would look if it had waited for its disk far longer than for anything else, and longer at each scrape. */
function waitingForDisk({ series }: RealRun): readonly Series[] {
  return prolonged(series, 20).map((each) => {
    if (each.labels.__name__ !== "oss_populator_wait_seconds_total" || each.labels.on !== "disk") return each;
    return { ...each, points: each.points.map((point, scrape) => ({ ...point, value: point.value + 1e5 * scrape })) };
  });
}

/** For each alert a run that is in the trouble which it is for. */
const causes: Readonly<Record<string, () => readonly Series[]>> = {
  OssPopulatorObjectsFailed: () => troubled.series,
  OssPopulatorStandsStill: () => silent.series,
  OssPopulatorRetriesOften: () => refused.series,
  OssPopulatorThrottled: () => refused.series,
  OssPopulatorWaitsForDisk: () => waitingForDisk(healthy),
  OssPopulatorNeedsMuchMemory: () => enlarged(healthy, 10, "process_resident_memory_bytes"),
};

describe("alert", () => {
  const named = alerts.map((alert) => [alert.alert, alert] as const);

  test.each(named)("%s fires in the trouble that it is for", (name, alert) => {
    expect(fires(alert, inAlertTime(causes[name]?.() ?? []))).toBe(true);
  });

  test.each(named)("%s is silent in a healthy run, whose metrics have all its names", (_, alert) => {
    expect(unmatchedSelectors(alert.expr, refused.series)).toEqual([]);
    expect(fires(alert, inAlertTime(healthy.series))).toBe(false);
  });

  test.each(named)("%s says what it is about", (_, { labels, annotations }: Alert) => {
    expect(["info", "warning", "critical"]).toContain(labels.severity);
    expect(annotations.summary).toContain("{{ $labels.pod }}");
    expect(annotations.description).toMatch(/\.$/);
  });
});
