/** The one place where an answer of the service becomes a kind of failure. */

import { CopyError, type CopyErrorDetails, type ErrorKind } from "../errors.ts";
import type { Operation } from "../types.ts";
import type { ResponseHead } from "./http/transport.ts";
import { printable } from "./printable.ts";
import { readServiceError, type ServiceError } from "./service-error.ts";

export interface RefusedRequest {
  readonly operation: Operation;
  /** "" for a listing. */
  readonly key: string;
  /** Names the bucket in messages about its listing. */
  readonly bucket?: string;
}

const longestWaitMs = 60 * 60 * 1000;

/** Codes that say more than their status, which is 400, 403 or 404. */
const kindByCode: ReadonlyMap<string, ErrorKind> = new Map([
  ["NoSuchBucket", "source"],
  ["InvalidObjectState", "unsupported"],
  ["SecurityTokenExpired", "expired"],
  ["InvalidSecurityToken", "expired"],
  ["RequestTimeTooSkewed", "expired"],
  // The official SDKs send it again: it stands for a request that arrived damaged, not for a wrong one.
  ["BadRequest", "server"],
] as const);

/** The kind of any answer that was not what the operation asked for. */
export function classify(status: number, code: string | undefined, operation: Operation): ErrorKind {
  if (status < 300 || status === 304) return "protocol"; // a success or condition that nobody asked for
  if (status < 400) return "source"; // never followed: the signature is not for another host
  if (status === 408) return "server";
  if (status === 429 || status === 503) return "throttled";
  if (status >= 500) return "server";
  const byCode = code === undefined ? undefined : kindByCode.get(code);
  if (byCode !== undefined) return byCode;
  if (status === 401 || status === 403) return "auth";
  if (operation === "list") return "source"; // no object to blame
  if (status === 404) return "missing";
  // 416: ranges lie within the listed size, so the object has become shorter.
  return status === 412 || status === 416 ? "changed" : "rejected";
}

/** The failure that an answer means, from its head and as much of its body as was kept. */
export function refusal(request: RefusedRequest, head: ResponseHead, body: Uint8Array): CopyError {
  const error = readServiceError(head, body);
  const kind = classify(head.status, error.code, request.operation);
  const dateMs = httpDateMs(head.headers.date);
  const details: { -readonly [field in keyof CopyErrorDetails]: CopyErrorDetails[field] } = {
    receivedBytes: body.length,
  };
  if (error.requestId !== undefined) details.requestId = printable(error.requestId, 64);
  if (error.code === "RequestTimeTooSkewed" && dateMs !== undefined) details.serverTimeMs = dateMs;
  const waitMs = kind === "throttled" || kind === "server" ? retryAfterMs(head, dateMs) : undefined;
  if (waitMs !== undefined) details.retryAfterMs = waitMs;
  return new CopyError(kind, sentence(request, head, error), details);
}

/** How a message names what was asked for. */
export function subjectOf({ operation, key, bucket }: RefusedRequest): string {
  if (operation === "list")
    return bucket === undefined ? "the listing" : `the listing of bucket "${printable(bucket)}"`;
  return `${operation === "head" ? "the head of " : ""}"${printable(key)}"`;
}

function sentence(request: RefusedRequest, head: ResponseHead, error: ServiceError): string {
  const { status } = head;
  const subject = subjectOf(request);
  const answer = describe(status, error);
  if (error.code === "InvalidObjectState") {
    const storageClass =
      error.storageClass === undefined ? "" : ` (storage class ${printable(error.storageClass, 32)})`;
    return `${subject} is archived${storageClass} and must be restored before it can be read: ${answer}`;
  }
  if (status >= 300 && status < 400 && status !== 304) {
    const to = redirectTarget(head, error);
    const where = to === undefined ? "" : ` to ${to}; if the bucket lives there, that is the endpoint to use`;
    return `the service redirects the request for ${subject}${where}: ${answer}`;
  }
  if (status === 412) return `${subject} has changed since it was listed: ${answer}`;
  if (status === 416) return `${subject} no longer holds the range that was asked for: ${answer}`;
  const hint = error.endpoint === undefined ? "" : `; the bucket's endpoint is ${printable(error.endpoint, 128)}`;
  return `${subject} was refused: ${answer}${hint}`;
}

function describe(status: number, { code, message, ec }: ServiceError): string {
  const name = code === undefined ? `${status}` : `${status} ${printable(code, 64)}`;
  const said = message === undefined ? "" : `, ${printable(message, 300)}`;
  return `${name}${said}${ec === undefined ? "" : ` (EC ${printable(ec, 32)})`}`;
}

/** Where a redirect leads, without path and query, which may hold a signature. */
function redirectTarget({ headers }: ResponseHead, { endpoint }: ServiceError): string | undefined {
  const { location } = headers;
  if (endpoint !== undefined) return printable(endpoint, 128);
  return location !== undefined && URL.canParse(location) ? printable(new URL(location).host, 128) : undefined;
}

/** Retry-After in seconds, or as a date, which counts from the answer's own Date; at most an hour. */
function retryAfterMs({ headers }: ResponseHead, dateMs: number | undefined): number | undefined {
  const text = headers["retry-after"]?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Math.min(Number(text) * 1000, longestWaitMs);
  const untilMs = httpDateMs(text);
  if (untilMs === undefined || dateMs === undefined) return undefined;
  return Math.min(Math.max(untilMs - dateMs, 0), longestWaitMs);
}

/** Epoch milliseconds of an HTTP date such as `Wed, 28 Dec 2022 10:27:41 GMT`. */
export function httpDateMs(text: string | undefined): number | undefined {
  const ms = text !== undefined && /^[A-Z][a-z]+, .* GMT$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}
