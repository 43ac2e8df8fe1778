import { evaluate } from "../../support/promql/evaluate.ts";
import { type Dashboard, legendOf, type Panel, type Target, withVariables } from "./dashboard.ts";
import { type RealRun, scrapeSeconds } from "./real-run.ts";

const unitWidth = 48;
const unitHeight = 30;
const gap = 12;
const frame = { left: 62, right: 16, top: 34, bottom: 58 };
const colours = ["#3274d9", "#e0752d", "#37872d", "#a352cc", "#c4162a", "#b89b00", "#1fa7b8", "#705da0", "#96d98d"];
const style = `text{font:12px system-ui,'DejaVu Sans',sans-serif;fill:#333}.title{font-weight:600;font-size:14px}.tick{fill:#777;font-size:10.5px}
.panel{fill:#fff;stroke:#ddd}.grid{stroke:#eee}.line{fill:none;stroke-width:1.6}.page{fill:#f4f5f5}`;

/** One line of a panel. */
export interface Line {
  readonly legend: string;
  readonly points: readonly { readonly seconds: number; readonly value: number }[];
}

/** A rate looks back over five scrapes. */
const rateSeconds = 5 * scrapeSeconds;

/** The lines that a panel shows of a run. */
export function linesOf({ targets }: Panel, run: RealRun): Line[] {
  return targets.flatMap((target) => linesOfTarget(target, run));
}

export function linesOfTarget(target: Target, { series, seconds }: RealRun): Line[] {
  const query = withVariables(target.expr, rateSeconds);
  const lines = new Map<string, { seconds: number; value: number }[]>();
  for (let at = 0; at <= seconds; at += scrapeSeconds) {
    for (const { labels, value } of evaluate(query, series, at)) {
      if (!Number.isFinite(value)) continue;
      const legend = legendOf(target, labels);
      const points = lines.get(legend) ?? [];
      points.push({ seconds: at, value });
      lines.set(legend, points);
    }
  }
  return [...lines].map(([legend, points]) => ({ legend, points }));
}

/** The dashboard as Grafana would show it for this run. */
export function drawDashboard({ title, panels }: Dashboard, run: RealRun): string {
  const width = 24 * unitWidth + 2 * gap;
  const rows = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const height = rows * unitHeight + 2 * gap + 24;
  const drawn = panels.map((panel) => drawPanel(panel, run));
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">\n` +
    `<style>${style}</style>\n<rect class="page" width="100%" height="100%"/>\n` +
    `<text class="title" x="${gap + 4}" y="${gap + 12}">${escapeXml(title)}</text>\n${drawn.join("")}</svg>\n`
  );
}

interface Plot {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly most: number;
  readonly seconds: number;
}

function drawPanel(panel: Panel, run: RealRun): string {
  const { x, y, w, h } = panel.gridPos;
  const { unit, max } = panel.fieldConfig.defaults;
  const box = {
    left: gap + x * unitWidth,
    top: 24 + gap + y * unitHeight,
    width: w * unitWidth - 8,
    height: h * unitHeight - 8,
  };
  const lines = linesOf(panel, run);
  const highest = Math.max(...lines.flatMap(({ points }) => points.map(({ value }) => value)), 0);
  const plot: Plot = {
    left: box.left + frame.left,
    top: box.top + frame.top,
    width: box.width - frame.left - frame.right,
    height: box.height - frame.top - frame.bottom,
    most: max ?? niceCeiling(highest),
    seconds: run.seconds,
  };
  const paths = lines.map(({ points }, index) => drawLine(points, plot, index));
  const legend = drawLegend(lines, box.left + 12, box.top + box.height - 22, box.width - 24);
  return (
    `<rect class="panel" x="${box.left}" y="${box.top}" width="${box.width}" height="${box.height}" rx="3"/>\n` +
    `<text class="title" x="${box.left + 12}" y="${box.top + 21}">${escapeXml(panel.title)}</text>\n` +
    `${drawAxes(plot, unit)}${paths.join("")}${legend}`
  );
}

function drawAxes({ left, top, width, height, most, seconds }: Plot, unit: string): string {
  const across = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const y = (top + height * (1 - share)).toFixed(1);
    const label = `<text class="tick" x="${left - 6}" y="${Number(y) + 4}" text-anchor="end">${valueText(most * share, unit)}</text>`;
    return `<line class="grid" x1="${left}" x2="${left + width}" y1="${y}" y2="${y}"/>${label}\n`;
  });
  const step = niceCeiling(seconds / 10);
  const below = Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => {
    const x = (left + (width * index * step) / seconds).toFixed(1);
    return `<text class="tick" x="${x}" y="${top + height + 14}" text-anchor="middle">${index * step} s</text>\n`;
  });
  return across.join("") + below.join("");
}

function drawLine(points: Line["points"], { left, top, width, height, most, seconds }: Plot, index: number): string {
  const path = points.map(({ seconds: at, value }) => {
    const x = left + (width * at) / seconds;
    const y = top + height * (1 - Math.min(1, value / most));
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return `<polyline class="line" stroke="${colourOf(index)}" points="${path.join(" ")}"/>\n`;
}

function drawLegend(lines: readonly Line[], left: number, top: number, width: number): string {
  let x = left;
  let y = top;
  return lines
    .map(({ legend }, index) => {
      const needed = 26 + legend.length * 7;
      if (x + needed > left + width) {
        x = left;
        y += 15;
      }
      const entry =
        `<rect x="${x}" y="${y - 5}" width="12" height="3" fill="${colourOf(index)}"/>` +
        `<text class="tick" x="${x + 16}" y="${y}">${escapeXml(legend)}</text>\n`;
      x += needed;
      return entry;
    })
    .join("");
}

function colourOf(index: number): string {
  return colours[index % colours.length] ?? "#333";
}

/** The next of 1, 2, 5, 10, … that is not below. */
function niceCeiling(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5].find((factor) => factor * power >= value) ?? 10) * power;
}

const suffixes: Readonly<Record<string, string>> = {
  Bps: "B/s",
  bytes: "B",
  s: "s",
  ops: "/s",
  reqps: "/s",
  short: "",
};

function valueText(value: number, unit: string): string {
  if (unit === "percentunit") return `${Math.round(value * 100)} %`;
  const power = value === 0 ? 0 : Math.max(-1, Math.min(3, Math.floor(Math.log10(Math.abs(value)) / 3)));
  const number = Number((value / 1000 ** power).toPrecision(3));
  return `${number} ${["m", "", "k", "M", "G"][power + 1]}${suffixes[unit] ?? unit}`.trimEnd();
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
