import type { Peer } from "../peers/peer.ts";
import { contendersOf, type Metric, type ScenarioResult, type Spread, spreadOf } from "../result.ts";

/** One scenario as a Markdown table: medians, with least and greatest. */
export function scenarioTable(result: ScenarioResult): string {
  const { name, title, metrics, notes } = result;
  const lines = [
    `### ${name}`,
    "",
    title,
    "",
    `| | ${metrics.map((metric) => metric.title).join(" | ")} |`,
    `|---|${metrics.map(() => "---:|").join("")}`,
  ];
  for (const contender of contendersOf(result)) {
    const cells = metrics.map((metric) => cell(spreadOf(result, contender, metric), metric));
    lines.push(`| ${contender} | ${cells.join(" | ")} |`);
  }
  return [...lines, "", ...notes.map((note) => `- ${note}`), ""].join("\n");
}

export function document(results: readonly ScenarioResult[], facts: object, peers: readonly Peer[]): string {
  const settings = peers.map(
    ({ name, verifies, settings }) => `| ${name} | ${verifies ? "yes" : "no"} | ${settings} |`,
  );
  return [
    "# Benches",
    "",
    `Medians (least–greatest). ${Object.entries(facts)
      .map(([name, value]) => `${name}: ${String(value)}`)
      .join(" · ")}`,
    "",
    "Wall time runs from the start of the program to the end of a `sync -f` of the target, for everyone. CPU is user and system time of the whole process tree of the client; what the kernel writes back on its own account is in nobody's.",
    "",
    "| | verifies | settings |",
    "|---|---|---|",
    ...settings,
    "",
    ...results.map(scenarioTable),
  ].join("\n");
}

function cell({ median, min, max }: Spread, { digits }: Metric): string {
  if (Number.isNaN(median)) return "";
  const text = (value: number): string =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return min === max ? text(median) : `${text(median)} (${text(min)}–${text(max)})`;
}
