import prettyBytes from "pretty-bytes";

/** Decimal units, three digits: `1.23 GB`. */
export function formatBytes(bytes: number): string {
  return Number.isFinite(bytes) ? prettyBytes(bytes < 1000 ? Math.round(bytes) : bytes) : "?";
}

/** `812 MB/s`. */
export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

/** Whole numbers with thousands separators: `10,211`. Not by Intl, which takes 15 ms to load its data. */
export function formatCount(count: number): string {
  return Number.isFinite(count) ? String(Math.round(count)).replace(/\B(?=(?:\d{3})+$)/g, ",") : "?";
}

/** Two units at most: `850 ms`, `12.3 s`, `3m 12s`, `2h 05m`, `3d 04h`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 0.9995) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 59.95) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${twoDigits(whole % 60)}s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)}h ${twoDigits(Math.floor((whole % 3600) / 60))}m`;
  return `${Math.floor(whole / 86_400)}d ${twoDigits(Math.floor((whole % 86_400) / 3600))}h`;
}

/** Rounded down to a tenth, so that only the whole is 100: `52.3 %`. */
export function formatPercent(ratio: number): string {
  return `${(Math.floor(ratio * 1000) / 10).toFixed(1)} %`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
