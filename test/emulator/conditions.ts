import { refuse } from "./errors.ts";
import type { StoredObject } from "./stored-object.ts";

/** Request headers as node:http gives them. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** One header as text; repeated ones joined. */
export function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

/** Half-open extent of an object; `partial` says whether the answer is a 206. */
export interface Extent {
  readonly start: number;
  readonly lengthBytes: number;
  readonly partial: boolean;
}

/**
 * What a Range header selects of `sizeBytes` bytes. By default the service ignores a range that is invalid or overshoots
 * the end; with `x-oss-range-behavior: standard` it clips, and refuses one beyond the end with 416 InvalidRange.
 */
export function selectExtent(range: string | undefined, sizeBytes: number, standard: boolean): Extent {
  const whole = { start: 0, lengthBytes: sizeBytes, partial: false };
  const match = range === undefined ? null : /^bytes=(?:(\d+)-(\d*)|-(\d+))$/.exec(range.trim());
  if (match === null) return whole;
  const { start, end } = boundsOf(match, sizeBytes);
  if (end < start && match[3] === undefined) return whole;
  const satisfiable = sizeBytes > 0 && start < sizeBytes && start <= end;
  if (!satisfiable) {
    if (!standard) return whole;
    throw refuse("InvalidRange", {
      details: { ActualObjectSize: String(sizeBytes), RangeRequested: String(range) },
    });
  }
  const fits = start >= 0 && end < sizeBytes;
  if (!fits && !standard) return whole;
  const from = Math.max(0, start);
  return { start: from, lengthBytes: Math.min(end, sizeBytes - 1) - from + 1, partial: true };
}

/** Inclusive bounds as asked for; a suffix longer than the object starts below 0, an empty one ends before it starts. */
function boundsOf(match: RegExpExecArray, sizeBytes: number): { start: number; end: number } {
  const [, first, last, suffix] = match;
  if (suffix !== undefined) return { start: sizeBytes - Number(suffix), end: sizeBytes - 1 };
  const start = Number(first);
  return { start, end: last === "" ? Math.max(start, sizeBytes - 1) : Number(last) };
}

/** Throws 412 PreconditionFailed, or says whether the object is to be answered with its content or 304. */
export function checkConditions(headers: Headers, object: StoredObject): "proceed" | "not-modified" {
  const ifMatch = headerOf(headers, "if-match");
  const ifNoneMatch = headerOf(headers, "if-none-match");
  if (ifMatch !== undefined) {
    if (!matchesEtag(ifMatch, object.etag)) throw preconditionFailed("If-Match");
  } else {
    const limitMs = dateOf(headers, "if-unmodified-since");
    if (object.lastModifiedMs > limitMs) throw preconditionFailed("If-Unmodified-Since");
  }
  if (ifNoneMatch !== undefined) return matchesEtag(ifNoneMatch, object.etag) ? "not-modified" : "proceed";
  const sinceMs = dateOf(headers, "if-modified-since");
  return object.lastModifiedMs <= sinceMs ? "not-modified" : "proceed";
}

function preconditionFailed(condition: string): Error {
  return refuse("PreconditionFailed", { details: { Condition: condition } });
}

/** NaN, which compares false with everything, for a header that is absent or no date. */
function dateOf(headers: Headers, name: string): number {
  return Date.parse(headerOf(headers, name) ?? "");
}

function matchesEtag(header: string, etag: string): boolean {
  return header.split(",").some((part) => {
    const wanted = part.trim().replace(/^"(.*)"$/, "$1");
    return wanted === "*" || wanted === etag;
  });
}
