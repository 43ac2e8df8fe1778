import { styleText } from "node:util";
import { formatBytes, formatCount, formatDuration, formatPercent, formatRate } from "./format.ts";
import { bytesDone, etaSeconds, type Pace, ratioOf, settled, waitingFor } from "./progress.ts";

/** A piece of a line; ASCII only, so that its length is its width on every terminal. */
interface Segment {
  readonly text: string;
  readonly style?: "bold" | "dim" | "red" | "yellow" | "green";
}

const between = "  ";
const leastBar = 10;
const mostBar = 40;
/** Room for what stands beside the bar. */
const besideBar = 40;

export interface RenderOptions {
  readonly columns: number;
  readonly colours: boolean;
}

/** The view as lines, none wider than `columns`. */
export function renderProgress(pace: Pace, { columns, colours }: RenderOptions): string[] {
  return [headline(pace, columns), amounts(pace), circumstances(pace)].map((line) => shorten(line, columns, colours));
}

/** One line that stays when the view ends. */
export function renderSummary({ progress }: Pace, elapsedSeconds: number): string {
  const { copied, skipped, failed, receivedBytes, retried } = progress;
  const rate = elapsedSeconds > 0 ? ` (${formatRate(receivedBytes / elapsedSeconds)})` : "";
  return [
    `${formatCount(copied.objects)} copied`,
    `${formatCount(skipped.objects)} skipped`,
    `${formatCount(failed.objects)} failed`,
    `${formatBytes(copied.bytes)} in ${formatDuration(elapsedSeconds)}${rate}`,
    `${formatCount(retried)} retries`,
  ].join(", ");
}

function headline(pace: Pace, columns: number): Segment[] {
  const { progress } = pace;
  const phase: Segment = { text: progress.phase, style: "bold" };
  const ratio = ratioOf(progress);
  if (ratio === undefined) {
    const { objects, bytes } = progress.listed;
    return [phase, { text: `${formatCount(objects)} objects, ${formatBytes(bytes)} listed so far` }];
  }
  const eta = etaSeconds(pace);
  const line: Segment[] = [phase, { text: bar(ratio, columns), style: "green" }, { text: formatPercent(ratio) }];
  return eta === undefined ? line : [...line, { text: `ETA ${formatDuration(Math.ceil(eta))}` }];
}

function bar(ratio: number, columns: number): string {
  const width = Math.max(leastBar, Math.min(mostBar, columns - besideBar));
  const full = Math.floor(ratio * width);
  return `[${"#".repeat(full)}${"-".repeat(width - full)}]`;
}

function amounts({ progress, rates }: Pace): Segment[] {
  const of = (total: string) => (progress.listingComplete ? ` of ${total}` : "");
  const { objects } = settled(progress);
  const limit = progress.limitBytesPerSecond;
  return [
    { text: formatBytes(bytesDone(progress)) + of(formatBytes(progress.listed.bytes)) },
    { text: `${formatCount(objects)}${of(formatCount(progress.listed.objects))} objects` },
    { text: `${formatRate(rates?.receivedBytes ?? 0)}, ${formatCount(rates?.objects ?? 0)} objects/s` },
    { text: limit === undefined ? "no limit" : `limit ${formatRate(limit)}`, style: "dim" },
  ];
}

function circumstances(pace: Pace): Segment[] {
  const { failed, inFlight, retried } = pace.progress;
  return [
    { text: `waiting for ${waitingFor(pace) ?? "nothing"}` },
    { text: `${formatCount(inFlight)} in flight` },
    { text: `${formatCount(retried)} retries`, ...(retried > 0 && { style: "yellow" as const }) },
    { text: `${formatCount(failed.objects)} failed`, ...(failed.objects > 0 && { style: "red" as const }) },
  ];
}

function shorten(segments: readonly Segment[], columns: number, colours: boolean): string {
  let room = columns;
  let line = "";
  for (const { text, style } of segments) {
    const gap = line === "" ? "" : between.slice(0, room);
    const shown = text.slice(0, Math.max(0, room - gap.length));
    line += gap + (colours && style && shown !== "" ? styleText(style, shown, { validateStream: false }) : shown);
    room -= gap.length + shown.length;
  }
  return line;
}
