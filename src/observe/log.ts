import type { Logger } from "../types.ts";
import { escapeJson } from "./escape.ts";
import { textLine } from "./log-text.ts";
import { createRedact, type Redact } from "./redact.ts";
import { codeOf, writeFully } from "./write-fully.ts";

const levels = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof levels)[number];

/** Takes whole lines, newline included; never throws. */
export interface LogDestination {
  write(text: string): void;
}

export interface LoggerOptions {
  readonly format: "text" | "json";
  readonly level: LogLevel;
  readonly destination: LogDestination;
  /** Values that must not be shown; asked for each line. */
  readonly secrets: () => readonly string[];
  /** Colours for the text format. */
  readonly colours?: boolean;
}

/** A reader that does not read for this long loses lines: the run is worth more than its log. */
const stderrPatienceMs = 1000;

const deepest = 4;

/**
 * One line per event: `{"level":"info","time":"…","event":"…",…}`, or text for people. Fields cannot forge a line. Of our own,
 * because all but the braces is our own anyway, and a logger's package takes 30 ms of each start.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { format, level: least, destination, colours = false } = options;
  const redact = createRedact(options.secrets);
  const write = (level: LogLevel, event: string, extra: Readonly<Record<string, unknown>> = {}): void => {
    // Of one line per object not even the fields are cleaned when nobody reads them.
    if (levels.indexOf(level) < levels.indexOf(least)) return;
    const time = new Date().toISOString();
    const json = JSON.stringify({ level, time, event: redact(event), ...plainFields(extra, redact) });
    destination.write(`${format === "json" ? escapeJson(json) : textLine(json, colours)}\n`);
  };
  return {
    debug: (event, extra) => write("debug", event, extra),
    info: (event, extra) => write("info", event, extra),
    warn: (event, extra) => write("warn", event, extra),
    error: (event, extra) => write("error", event, extra),
  };
}

/** Synchronous lines to a descriptor, so that none is lost at the exit; a reader that is gone or stuck stops nobody. */
export function createLogDestination(fd = 2): LogDestination {
  let broken = false;
  let congested = false;
  let torn = false;
  return {
    write: (text) => {
      if (broken) return;
      const bytes = Buffer.from(torn ? `\n${text}` : text);
      try {
        const written = writeFully(fd, bytes, congested ? 0 : stderrPatienceMs);
        congested = written < bytes.length;
        torn = congested ? torn || written > 0 : false;
      } catch (error) {
        // A full disk may have room again; a closed pipe or terminal never comes back.
        broken = codeOf(error) !== "ENOSPC";
      }
    },
  };
}

const reserved: ReadonlySet<string> = new Set(["time", "level", "event"]);

function plainFields(fields: Readonly<Record<string, unknown>>, redact: Redact): Record<string, unknown> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    entries.map(([name, value]) => [reserved.has(name) ? `${name}_` : redact(name), plain(value, redact, 0)]),
  );
}

function plain(value: unknown, redact: Redact, depth: number): unknown {
  if (typeof value === "string") return redact(value);
  if (typeof value === "number" || typeof value === "boolean" || value === null) return value;
  if (typeof value !== "object" || depth >= deepest) return redact(String(value));
  if (value instanceof Error) return redact(errorText(value));
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (Array.isArray(value)) return value.map((item) => plain(item, redact, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [redact(name), plain(item, redact, depth + 1)]),
  );
}

function errorText(error: Error): string {
  const texts: string[] = [];
  for (let cause: unknown = error; cause instanceof Error && texts.length < deepest; cause = cause.cause) {
    if (!texts.includes(cause.message)) texts.push(cause.message);
  }
  return texts.join(": ");
}
