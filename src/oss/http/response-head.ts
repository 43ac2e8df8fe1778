/** A strict parser of HTTP/1.x response heads (RFC 9112): what two parsers could read in two ways is refused. */

/** The head breaks the rules; `message` says which. */
export class HeadError extends Error {
  override readonly name = "HeadError";
}

export interface ParsedHead {
  readonly status: number;
  /** Lower-case names; of a repeated header the values joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly contentLength: number | undefined;
  readonly chunked: boolean;
  /** Whether the connection outlives the response, if its body has a length. */
  readonly keepAlive: boolean;
  /** What the server says it waits for another request; undefined when it does not say. */
  readonly keepAliveMs: number | undefined;
}

const maxHeaders = 200;
/** Names of one server repeat in each response, so each is checked and lowered once; the bound is for hostile ones. */
const maxKnownNames = 500;

const statusLine = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const notInToken = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;
const notInValue = /[^\t\x20-\x7e\x80-\xff]/;
const decimal = /^\d{1,15}$/;

const knownNames = new Map<string, string>();

/** Parses `text`, the latin1 head without the empty line at its end; throws HeadError. */
export function parseResponseHead(text: string): ParsedHead {
  const firstEnd = lineEnd(text, 0);
  const first = statusLine.exec(text.slice(0, firstEnd));
  if (first === null) throw new HeadError("status line is not HTTP/1.x");
  const headers = parseHeaders(text, firstEnd + 2);
  const version = first[1] === "1" ? 1 : 0;
  const contentLength = parseLength(headers["content-length"]);
  const chunked = isChunked(headers["transfer-encoding"], version);
  if (chunked && contentLength !== undefined) throw new HeadError("both a length and a transfer coding");
  const connection = headers.connection?.toLowerCase();
  return {
    status: Number(first[2]),
    headers,
    contentLength,
    chunked,
    keepAlive: version === 1 ? !hasToken(connection, "close") : hasToken(connection, "keep-alive"),
    keepAliveMs: keepAliveMs(headers["keep-alive"]),
  };
}

function parseHeaders(text: string, start: number): Record<string, string> {
  // Without a prototype, so that a header may be called `constructor` or `__proto__`.
  const headers: Record<string, string> = Object.create(null);
  let count = 0;
  for (let at = start; at < text.length; ) {
    const end = lineEnd(text, at);
    const colon = text.indexOf(":", at);
    if (colon < 0 || colon >= end) throw new HeadError("header line without a colon");
    if (++count > maxHeaders) throw new HeadError(`more than ${maxHeaders} headers`);
    const name = headerName(text.slice(at, colon));
    const value = trimmed(text, colon + 1, end);
    if (notInValue.test(value)) throw new HeadError(`control character in header ${name}`);
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (name !== "content-length") headers[name] = `${before}, ${value}`;
    else if (before !== value) throw new HeadError("contradicting lengths");
    at = end + 2;
  }
  return headers;
}

function headerName(raw: string): string {
  const known = knownNames.get(raw);
  if (known !== undefined) return known;
  // Refuses folded lines and blanks before the colon as well.
  if (raw === "" || notInToken.test(raw)) throw new HeadError("header name is not a token");
  const name = raw.toLowerCase();
  // A copy: a slice would keep the whole head alive.
  if (knownNames.size < maxKnownNames) knownNames.set(Buffer.from(raw, "latin1").toString("latin1"), name);
  return name;
}

/** Where the line at `from` ends: before CR LF, or at the end of the text. Other CR and LF are refused with the line. */
function lineEnd(text: string, from: number): number {
  const end = text.indexOf("\r\n", from);
  return end < 0 ? text.length : end;
}

function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function parseLength(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!decimal.test(value)) throw new HeadError("length is not a number");
  return Number(value);
}

function isChunked(coding: string | undefined, version: number): boolean {
  if (coding === undefined) return false;
  if (version === 1 && coding.toLowerCase() === "chunked") return true;
  throw new HeadError("unknown transfer coding");
}

function hasToken(list: string | undefined, token: string): boolean {
  if (list === undefined) return false;
  return list === token || list.split(",").some((part) => part.trim() === token);
}

function keepAliveMs(value: string | undefined): number | undefined {
  const seconds = value === undefined ? undefined : /(?:^|[,\s])timeout\s*=\s*"?(\d{1,9})/i.exec(value)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
