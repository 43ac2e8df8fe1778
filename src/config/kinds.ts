/** How the text of an option becomes a value. */
export interface Kind<T> {
  /** What stands for the value in the help; empty for a flag. */
  readonly placeholder: string;
  /** What the text must be, to follow "must be". */
  readonly must: string;
  /** Repeated options arrive as one text, an entry a line. */
  readonly repeats: boolean;
  /** The value, or undefined for text that is not what `must` says. */
  parse(text: string): T | undefined;
}

export type Bounds = Readonly<{ min: number; max: number; step?: number }>;

// Node's timers count milliseconds in 31 bits, a little under 25 days.
const longestMs = 14 * 24 * 3_600_000;

/** Text shown in a sentence: quoted, cut, and without what stands before an `@`, which may be a password. */
export function quote(text: string): string {
  const safe = text.replace(/^.*@/s, "***@");
  return JSON.stringify(safe.length > 80 ? `${safe.slice(0, 77)}...` : safe);
}

/** A kind for one value that is not a list. */
export function single<T>(placeholder: string, must: string, parse: (text: string) => T | undefined): Kind<T> {
  return { placeholder, must, repeats: false, parse };
}

/** Text that is not empty and can be a file name or an argument (no NUL, no broken surrogates). */
export function text(placeholder: string): Kind<string> {
  return single(placeholder, "text that is not empty", (value) => (isPlainText(value) ? value : undefined));
}

export function isPlainText(value: string): boolean {
  return value !== "" && !value.includes("\0") && value.isWellFormed();
}

/** True when the option stands alone; a variable says `true` or `false`. */
export const flag: Kind<boolean> = single("", "true or false", (value) => {
  if (value === "true" || value === "1") return true;
  return value === "false" || value === "0" ? false : undefined;
});

export function choice<const T extends string>(...values: readonly T[]): Kind<T> {
  const must = `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
  return single(values.join("|"), must, (value) => values.find((candidate) => candidate === value));
}

/** One entry a line; empty lines are passed over. */
export function lines(placeholder: string): Kind<readonly string[]> {
  const parse = (value: string) => {
    const entries = value.split("\n").filter((entry) => entry !== "");
    return entries.length > 0 && entries.every(isPlainText) ? entries : undefined;
  };
  return { placeholder, must: "text that is not empty", repeats: true, parse };
}

export function integer(bounds: Bounds): Kind<number> {
  const must = `a whole number from ${bounds.min} to ${bounds.max}`;
  return single("N", must, (value) => (/^\d{1,16}$/.test(value) ? within(Number(value), bounds) : undefined));
}

/** A count from 1, or `none` for no limit, which is Infinity. */
export const countOrNone: Kind<number> = single("N|none", "a whole number from 1 to 1000000000, or none", (value) =>
  value === "none" ? Number.POSITIVE_INFINITY : integer({ min: 1, max: 1e9 }).parse(value),
);

/** Permission bits in octal, with or without a leading zero. */
export function mode(max: number): Kind<number> {
  const must = `an octal mode up to 0${max.toString(8)}, such as 0755`;
  return single("MODE", must, (value) =>
    /^[0-7]{3,5}$/.test(value) ? within(Number.parseInt(value, 8), { min: 0, max }) : undefined,
  );
}

const sizePattern = /^(\d{1,16}(?:\.\d{1,9})?)(?:([kKMGT])(i?))?B?$/;
const powers: Readonly<Record<string, number>> = { k: 1, K: 1, M: 2, G: 3, T: 4 };

/** Bytes: `64KiB`, `8MiB`, `1GB`, or a plain number. */
export function size(bounds: Bounds): Kind<number> {
  const multiple = bounds.step === undefined ? "" : `, a multiple of ${sizeText(bounds.step)}`;
  const must = `a size such as 64KiB, 8MiB or 1GB, from ${sizeText(bounds.min)} to ${sizeText(bounds.max)}${multiple}`;
  return single("SIZE", must, (value) => {
    const [, number, prefix, binary] = sizePattern.exec(value) ?? [];
    if (number === undefined) return undefined;
    return within(Number(number) * (binary === "i" ? 1024 : 1000) ** (powers[prefix ?? ""] ?? 0), bounds);
  });
}

const durationPattern = /^(\d{1,12}(?:\.\d{1,9})?)(ms|s|m|h)$/;
const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;

function isUnit(unit: string | undefined): unit is keyof typeof unitMs {
  return unit !== undefined && Object.hasOwn(unitMs, unit);
}

/** Milliseconds: `500ms`, `30s`, `5m`, `2h`, and 0 where `minMs` is 0. At most 14 days. */
export function duration(minMs: number): Kind<number> {
  const must = `a duration such as 500ms, 30s, 5m or 2h, from ${minMs === 0 ? "0" : `${minMs}ms`} to ${longestMs / unitMs.h}h`;
  return single("DURATION", must, (value) => {
    const [, number, unit] = durationPattern.exec(value === "0" ? "0ms" : value) ?? [];
    if (number === undefined) return undefined;
    return within(Math.round(Number(number) * (isUnit(unit) ? unitMs[unit] : 1)), { min: minMs, max: longestMs });
  });
}

/** Bytes per second, from MBps of 1,000,000 bytes. */
export const throughput: Kind<number> = single(
  "MBPS",
  "a number of MBps (1,000,000 bytes per second) from 0.001 to 1000000, such as 1000 or 62.5",
  (value) =>
    /^\d{1,7}(\.\d{1,9})?$/.test(value)
      ? within(Math.floor(Number(value) * 1e6), { min: 1000, max: 1e12, step: 1 })
      : undefined,
);

/** `HOST:PORT`, `[::]:PORT`, or `:PORT` for every address. */
export const listenAddress: Kind<Readonly<{ host: string; port: number }>> = single(
  "HOST:PORT",
  "HOST:PORT, such as :9090, 127.0.0.1:9090 or [::]:9090",
  (value) => {
    const [, address, host, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):(\d{1,5})$/.exec(value) ?? [];
    const port = within(Number(digits), { min: 0, max: 65_535 });
    if (port === undefined || (address !== undefined && !URL.canParse(`http://[${address}]`))) return undefined;
    return { host: address ?? host ?? "", port };
  },
);

/** The largest unit that leaves a whole number, such as `64KiB`. */
export function sizeText(bytes: number): string {
  const units = ["TiB", "GiB", "MiB", "KiB"];
  const index = units.findIndex((_, position) => bytes > 0 && bytes % 1024 ** (4 - position) === 0);
  return index < 0 ? `${bytes}` : `${bytes / 1024 ** (4 - index)}${units[index]}`;
}

function within(value: number, bounds: Bounds): number | undefined {
  const fits = Number.isSafeInteger(value) && value >= bounds.min && value <= bounds.max;
  return fits && value % (bounds.step ?? 1) === 0 ? value : undefined;
}
