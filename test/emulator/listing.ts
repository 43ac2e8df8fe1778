import { escapeXml, refuse } from "./errors.ts";
import { afterPrefix } from "./keys.ts";
import type { Bucket } from "./object-store.ts";
import type { StoredObject } from "./stored-object.ts";

const DEFAULT_MAX_KEYS = 100;
const MAX_KEYS = 1000;

/** Ways in which a listing may differ while it still follows the documents. */
export interface ListingOptions {
  /** Upper bound of the entries of successive pages, used in turn: pages may be shorter than `max-keys`. */
  readonly pageSizes?: readonly number[];
  /** With `encoding-type=url`: `+` instead of `%20` for a space. */
  readonly plusForSpace?: boolean;
  /** Every page says that it is truncated and leads to itself. */
  readonly repeatedToken?: boolean;
}

/** Decoded query parameters by name. */
export type Query = ReadonlyMap<string, string>;

interface ListRequest {
  readonly version: 1 | 2;
  readonly prefix: string;
  readonly delimiter: string;
  /** `marker` or `start-after`. */
  readonly startAfter: string;
  readonly token: string | undefined;
  readonly maxKeys: number;
  readonly encoded: boolean;
  readonly owner: boolean;
}

interface Position {
  /** `prefix`: everything that begins with the text has been listed; `key`: everything up to it. */
  readonly kind: "key" | "prefix";
  readonly text: string;
}

interface Page {
  readonly objects: readonly StoredObject[];
  readonly prefixes: readonly string[];
  readonly last: Position | undefined;
  readonly truncated: boolean;
}

/** Answers a ListObjects or ListObjectsV2 request; `pageNumber` picks from `pageSizes`. Throws refusals. */
export function listObjects(bucket: Bucket, query: Query, options: ListingOptions, pageNumber: number): string {
  const request = parseRequest(query);
  const sizes = options.pageSizes ?? [];
  const limit = sizes.length === 0 ? request.maxKeys : Math.max(1, sizes[pageNumber % sizes.length] ?? 1);
  const page = collect(bucket, request, Math.min(request.maxKeys, limit));
  if (options.repeatedToken !== true) return render(bucket.name, request, page, options);
  const here = startPosition(request) ?? { kind: "key", text: "" };
  return render(bucket.name, request, { ...page, last: here, truncated: true }, options);
}

function parseRequest(query: Query): ListRequest {
  const version = query.get("list-type") === "2" ? 2 : 1;
  const encoding = query.get("encoding-type");
  if (encoding !== undefined && encoding !== "" && encoding !== "url") {
    throw invalidArgument("encoding-type", encoding);
  }
  return {
    version,
    prefix: query.get("prefix") ?? "",
    delimiter: query.get("delimiter") ?? "",
    startAfter: query.get(version === 2 ? "start-after" : "marker") ?? "",
    token: version === 2 ? query.get("continuation-token") : undefined,
    maxKeys: parseMaxKeys(query.get("max-keys")),
    encoded: encoding === "url",
    owner: version === 1 || query.get("fetch-owner") === "true",
  };
}

function parseMaxKeys(text: string | undefined): number {
  if (text === undefined || text === "") return DEFAULT_MAX_KEYS;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > MAX_KEYS) throw invalidArgument("max-keys", text);
  return value;
}

function invalidArgument(name: string, value: string): Error {
  return refuse("InvalidArgument", { details: { ArgumentName: name, ArgumentValue: value } });
}

function collect(bucket: Bucket, request: ListRequest, limit: number): Page {
  const from = startPosition(request);
  const cursor = bucket.cursor(request.prefix);
  if (from !== undefined) {
    const next = from.kind === "prefix" ? afterPrefix(from.text) : `${from.text}\0`;
    if (next === undefined) return { objects: [], prefixes: [], last: undefined, truncated: false };
    cursor.seek(next);
  }
  const objects: StoredObject[] = [];
  const prefixes: string[] = [];
  let last: Position | undefined;
  for (let key = cursor.key(); key?.startsWith(request.prefix) === true; key = cursor.key()) {
    if (objects.length + prefixes.length >= limit) return { objects, prefixes, last, truncated: true };
    const common = commonPrefix(key, request);
    if (common === undefined) {
      const object = cursor.object();
      if (object !== undefined) objects.push(object);
      last = { kind: "key", text: key };
      cursor.next();
      continue;
    }
    prefixes.push(common);
    last = { kind: "prefix", text: common };
    const next = afterPrefix(common);
    if (next === undefined) break;
    cursor.seek(next);
  }
  return { objects, prefixes, last, truncated: false };
}

/** A marker that is itself a common prefix (the NextMarker of a page) skips all that it stands for. */
function startPosition(request: ListRequest): Position | undefined {
  if (request.token !== undefined && request.token !== "") return decodeToken(request.token);
  const { startAfter, delimiter, prefix, version } = request;
  if (startAfter === "") return undefined;
  const isCommon = version === 1 && delimiter !== "" && startAfter.endsWith(delimiter) && startAfter !== prefix;
  return { kind: isCommon ? "prefix" : "key", text: startAfter };
}

function commonPrefix(key: string, request: ListRequest): string | undefined {
  if (request.delimiter === "") return undefined;
  const at = key.indexOf(request.delimiter, request.prefix.length);
  return at < 0 ? undefined : key.slice(0, at + request.delimiter.length);
}

/** Three bytes whose base64 form is `+/+/`, so that every token holds characters that a URL must escape. */
const TOKEN_HEAD = Buffer.from([0xfb, 0xff, 0xbf]);

/** Opaque to clients; always contains `+` and `/` and ends with `=`. */
export function encodeToken(position: Position): string {
  const text = Buffer.from(`${position.kind === "key" ? "k" : "p"}${position.text}`, "utf8");
  const padding = Buffer.alloc(text.length % 3 === 1 ? 2 : 1);
  return Buffer.concat([TOKEN_HEAD, Buffer.from([padding.length]), text, padding]).toString("base64");
}

function decodeToken(token: string): Position {
  const bytes = Buffer.from(token, "base64");
  const valid = bytes.length > 5 && bytes.subarray(0, 3).equals(TOKEN_HEAD) && bytes.toString("base64") === token;
  if (!valid) throw invalidArgument("continuation-token", token);
  const text = bytes.subarray(4, bytes.length - (bytes[3] ?? 0)).toString("utf8");
  return { kind: text.startsWith("k") ? "key" : "prefix", text: text.slice(1) };
}

/** Percent-encoding of every byte outside `A-Za-z0-9-._~`. */
export function urlEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function render(bucketName: string, request: ListRequest, page: Page, options: ListingOptions): string {
  const text = textWriter(request, options);
  const head =
    `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>\n  <Name>${bucketName}</Name>\n` +
    `  <Prefix>${text(request.prefix)}</Prefix>\n${renderPosition(request, page, text)}` +
    `  <MaxKeys>${request.maxKeys}</MaxKeys>\n  <Delimiter>${text(request.delimiter)}</Delimiter>\n` +
    (request.encoded ? "  <EncodingType>url</EncodingType>\n" : "") +
    `  <IsTruncated>${page.truncated}</IsTruncated>\n`;
  let body = "";
  for (const object of page.objects) body += renderObject(object, request, text);
  for (const prefix of page.prefixes) body += `  <CommonPrefixes><Prefix>${text(prefix)}</Prefix></CommonPrefixes>\n`;
  const count = page.objects.length + page.prefixes.length;
  const keyCount = request.version === 2 ? `  <KeyCount>${count}</KeyCount>\n` : "";
  return `${head}${body}${keyCount}</ListBucketResult>\n`;
}

type TextWriter = (text: string) => string;

function textWriter(request: ListRequest, options: ListingOptions): TextWriter {
  if (!request.encoded) return escapeXml;
  if (options.plusForSpace !== true) return urlEncode;
  return (text) => urlEncode(text).replaceAll("%20", "+");
}

function renderPosition(request: ListRequest, page: Page, text: TextWriter): string {
  const next = page.truncated ? page.last : undefined;
  if (request.version === 1) {
    const marker = `  <Marker>${text(request.startAfter)}</Marker>\n`;
    return next === undefined ? marker : `${marker}  <NextMarker>${text(next.text)}</NextMarker>\n`;
  }
  const startAfter = request.startAfter === "" ? "" : `  <StartAfter>${text(request.startAfter)}</StartAfter>\n`;
  const token = request.token === undefined ? "" : `  <ContinuationToken>${text(request.token)}</ContinuationToken>\n`;
  if (next === undefined) return startAfter + token;
  return `${startAfter}${token}  <NextContinuationToken>${text(encodeToken(next))}</NextContinuationToken>\n`;
}

function renderObject(object: StoredObject, request: ListRequest, text: TextWriter): string {
  const restore = object.options.restoreInfo;
  return (
    `  <Contents>\n    <Key>${text(object.key)}</Key>\n` +
    `    <LastModified>${new Date(object.lastModifiedMs).toISOString()}</LastModified>\n` +
    `    <ETag>"${object.etag}"</ETag>\n    <Type>${object.type}</Type>\n    <Size>${object.sizeBytes}</Size>\n` +
    `    <StorageClass>${object.storageClass}</StorageClass>\n` +
    (restore === undefined ? "" : `    <RestoreInfo>${escapeXml(restore)}</RestoreInfo>\n`) +
    (request.owner ? "    <Owner><ID>0022012</ID><DisplayName>0022012</DisplayName></Owner>\n" : "") +
    "  </Contents>\n"
  );
}
