import { contendersOf, type Metric, type ScenarioResult, spreadOf } from "../result.ts";

const barHeight = 18;
const rowHeight = 26;
const labelWidth = 190;
const plotWidth = 430;
const valueWidth = 90;
const panelTop = 34;
const margin = 16;
const width = labelWidth + plotWidth + valueWidth + 2 * margin;
const style = `text{font:13px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:15px}.axis{fill:#666}
.bar{fill:#9db4c8}.first{fill:#1c6ea4}.spread{stroke:#222;stroke-width:1.5}.paper{fill:#fff}`;

/** Bars of the medians, one panel a metric, with a line from the least to the greatest value. */
export function chart(result: ScenarioResult): string {
  const contenders = contendersOf(result);
  let y = margin + 30;
  const panels = result.metrics.map((metric) => {
    const drawn = panel(result, metric, contenders, y);
    y += panelTop + contenders.length * rowHeight;
    return drawn;
  });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + margin}" viewBox="0 0 ${width} ${y + margin}">\n` +
    `<style>${style}</style>\n<rect class="paper" width="100%" height="100%"/>\n` +
    `<text class="title" x="${margin}" y="${margin + 12}">${escapeXml(result.name)}</text>\n${panels.join("")}</svg>\n`
  );
}

function panel(result: ScenarioResult, metric: Metric, contenders: readonly string[], top: number): string {
  const spreads = contenders.map((contender) => spreadOf(result, contender, metric));
  const most = Math.max(0, ...spreads.map(({ max }) => (Number.isNaN(max) ? 0 : max)));
  const scale = most === 0 ? 0 : plotWidth / most;
  const left = margin + labelWidth;
  const rows = contenders.map((contender, index) => {
    const { median, min, max } = spreads[index] ?? { median: Number.NaN, min: Number.NaN, max: Number.NaN };
    const y = top + panelTop - 8 + index * rowHeight;
    const middle = y + barHeight / 2;
    const label = `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escapeXml(contender)}</text>`;
    if (Number.isNaN(median)) return `${label}\n`;
    const bar = `<rect class="bar${index === 0 ? " first" : ""}" x="${left}" y="${y}" width="${round(median * scale)}" height="${barHeight}"/>`;
    const line = `<line class="spread" x1="${round(left + min * scale)}" x2="${round(left + max * scale)}" y1="${middle}" y2="${middle}"/>`;
    const value = `<text x="${round(left + max * scale + 6)}" y="${middle + 4}">${median.toFixed(metric.digits)}</text>`;
    return `${label}${bar}${line}${value}\n`;
  });
  const heading = `${metric.title} (${metric.better} is better)`;
  return `<text class="axis" x="${left}" y="${top + 14}">${escapeXml(heading)}</text>\n${rows.join("")}`;
}

function round(value: number): string {
  return value.toFixed(1);
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
