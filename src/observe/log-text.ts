import { styleText } from "node:util";
import { escapeControls } from "./escape.ts";
import { formatBytes, formatCount, formatDuration, formatRate } from "./format.ts";

const styles = { debug: "dim", info: "green", warn: "yellow", error: "red" } as const;

/** Names of fields that count things; other numbers may be ids, ports or codes and stay as they are. */
const countNames =
  /(?:objects|files|keys|entries|listed|copied|skipped|failed|resumed|retried|retries|requests|count|omitted)$/i;

/** `12:03:04 info  listing complete objects=5,003 bytes=1.2 GB` from a line of JSON; a stack follows on lines of its own. */
export function textLine(json: string, colours: boolean): string {
  const record: unknown = JSON.parse(json);
  if (typeof record !== "object" || record === null) return escapeControls(json);
  const { time, level, event, stack, ...fields } = record as Readonly<Record<string, unknown>>; // an object of JSON
  const head = `${clockTime(time)} ${levelText(level, colours)} ${escapeControls(String(event))}`;
  const tail = Object.entries(fields).map(([name, value]) => {
    const label = `${escapeControls(name)}=`;
    return `${colours ? styleText("dim", label, { validateStream: false }) : label}${fieldText(name, value)}`;
  });
  return [head, ...tail].join(" ") + stackText(stack);
}

function clockTime(time: unknown): string {
  const date = new Date(String(time));
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

function levelText(level: unknown, colours: boolean): string {
  const name = level === "debug" || level === "warn" || level === "error" ? level : "info";
  const padded = name.padEnd(5);
  return colours ? styleText(styles[name], padded, { validateStream: false }) : padded;
}

function fieldText(name: string, value: unknown): string {
  if (typeof value === "number") return numberText(name, value);
  if (typeof value === "string") return /^[^\s"=]+$/u.test(value) ? escapeControls(value) : quoted(value);
  return escapeControls(JSON.stringify(value));
}

function numberText(name: string, value: number): string {
  if (/bytesPerSecond$/i.test(name)) return formatRate(value);
  if (/bytes$/i.test(name)) return formatBytes(value);
  if (/seconds$/i.test(name)) return formatDuration(value);
  if (/Ms$/.test(name)) return formatDuration(value / 1000);
  return countNames.test(name) ? formatCount(value) : String(value);
}

function quoted(value: string): string {
  return escapeControls(JSON.stringify(value));
}

function stackText(stack: unknown): string {
  if (typeof stack !== "string") return "";
  return stack
    .split("\n")
    .map((line) => `\n  ${escapeControls(line)}`)
    .join("");
}
