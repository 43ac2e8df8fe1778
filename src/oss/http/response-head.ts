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
const tab = 0x09;
const lf = 0x0a;
const cr = 0x0d;
const space = 0x20;
const del = 0x7f;
const digit0 = 0x30;

const notInToken = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;
const threeDigits = /^[1-5]\d\d$/;
const decimal = /^\d{1,15}$/;

/** Has no inherited members, so that a header may be called `constructor`; unlike `Object.create(null)` it is no hash table. */
const HeaderRecord = function HeaderRecord() {} as unknown as new () => Record<string, string>; // a class cannot drop its prototype's parent
HeaderRecord.prototype = Object.freeze(Object.create(null));

/** Parses the heads of one connection. */
export class HeadParser {
  /** Names with their colons as the last head had them, in order: servers repeat themselves. */
  readonly #raw: string[] = [""];
  readonly #names: string[] = [""];

  /** Where the lines of the present head end, from its start. */
  readonly #lineEnds = new Int32Array(maxHeaders + 2);

  /** Parses a head that lies in `bytes` at [from, to), without the empty line at its end; throws HeadError. */
  parse(bytes: Buffer, from: number, to: number): ParsedHead {
    const lines = this.#scan(bytes, from, to);
    const text = bytes.toString("latin1", from, to);
    const version = parseVersion(text);
    const status = parseStatus(text, this.#lineEnds[0] ?? 0);
    const headers = this.#headers(text, lines);
    const contentLength = parseLength(headers["content-length"]);
    const chunked = isChunked(headers["transfer-encoding"], version);
    if (chunked && contentLength !== undefined) throw new HeadError("both a length and a transfer coding");
    const connection = headers.connection?.toLowerCase();
    return {
      status,
      headers,
      contentLength,
      chunked,
      keepAlive: version === 1 ? !hasToken(connection, "close") : hasToken(connection, "keep-alive"),
      keepAliveMs: keepAliveMs(headers["keep-alive"]),
    };
  }

  /** Finds the lines and refuses control characters, and CR or LF that do not end a line; returns the number of lines. */
  #scan(bytes: Buffer, from: number, to: number): number {
    let lines = 0;
    for (let i = from; i < to; i++) {
      const byte = bytes[i] ?? 0;
      if (byte >= space ? byte !== del : byte === tab) continue;
      if (byte !== cr || bytes[i + 1] !== lf) throw new HeadError("control character in the head");
      if (lines > maxHeaders) throw new HeadError(`more than ${maxHeaders} headers`);
      this.#lineEnds[lines++] = i - from;
      i++;
    }
    if (lines > maxHeaders) throw new HeadError(`more than ${maxHeaders} headers`);
    this.#lineEnds[lines++] = to - from;
    return lines;
  }

  #headers(text: string, lines: number): Record<string, string> {
    const headers = new HeaderRecord();
    for (let i = 1; i < lines; i++) {
      const start = (this.#lineEnds[i - 1] ?? 0) + 2;
      const end = this.#lineEnds[i] ?? 0;
      if (!text.startsWith(this.#raw[i] ?? "\n", start)) this.#learn(i, text.slice(start, end));
      const name = this.#names[i] ?? "";
      const value = trimmed(text, start + name.length + 1, end);
      const before = headers[name];
      if (before === undefined) headers[name] = value;
      else if (name !== "content-length") headers[name] = `${before}, ${value}`;
      else if (before !== value) throw new HeadError("contradicting lengths");
    }
    return headers;
  }

  #learn(i: number, line: string): void {
    const colon = line.indexOf(":");
    if (colon < 0) throw new HeadError("header line without a colon");
    const raw = line.slice(0, colon);
    // Refuses folded lines and blanks before the colon as well.
    if (raw === "" || notInToken.test(raw)) throw new HeadError("header name is not a token");
    this.#raw[i] = `${raw}:`;
    this.#names[i] = raw.toLowerCase();
  }
}

/** The minor version of HTTP/1.x. */
function parseVersion(text: string): number {
  const minor = text.charCodeAt(7) - digit0;
  if (text.startsWith("HTTP/1.") && (minor === 0 || minor === 1) && text.charCodeAt(8) === space) return minor;
  throw new HeadError("status line is not HTTP/1.x");
}

/** The three digits after the version, of which the reason, if any, is separated by a space. */
function parseStatus(text: string, lineEnd: number): number {
  const status = text.slice(9, 12);
  const separated = lineEnd === 12 || (lineEnd > 12 && text.charCodeAt(12) === space);
  if (separated && threeDigits.test(status)) return Number(status);
  throw new HeadError("status is not a number from 100 to 599");
}

function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === space || code === tab;
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
  if (list === undefined || !list.includes(token)) return false;
  return list.split(",").some((part) => part.trim() === token);
}

function keepAliveMs(value: string | undefined): number | undefined {
  const seconds = value === undefined ? undefined : /(?:^|[,\s])timeout\s*=\s*"?(\d{1,9})/i.exec(value)?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1000;
}
