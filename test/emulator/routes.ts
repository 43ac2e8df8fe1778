import { hash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { type Answer, emptyAnswer, xmlAnswer } from "./answer.ts";
import { checkConditions, type Headers, headerOf, selectExtent } from "./conditions.ts";
import { MemoryContent } from "./content.ts";
import { refuse } from "./errors.ts";
import type { Operation } from "./faults.ts";
import { type ListingOptions, listObjects, urlEncode } from "./listing.ts";
import type { Bucket } from "./object-store.ts";
import type { ObjectOptions, StorageClass, StoredObject } from "./stored-object.ts";
import type { Target } from "./target.ts";

/** What answers look like where the documents leave a choice. */
export interface RouteOptions {
  /** False: no object has `x-oss-hash-crc64ecma`. */
  readonly crc?: boolean;
  /** True: Normal objects have Content-MD5 unless they say otherwise. */
  readonly contentMd5?: boolean;
  /** False: text is never compressed on the fly. */
  readonly gzip?: boolean;
  readonly listing?: ListingOptions;
}

/** One request that was let through. */
export interface RouteContext {
  readonly operation: Operation;
  readonly method: string;
  readonly bucket: Bucket;
  readonly target: Target;
  readonly headers: Headers;
  readonly options: RouteOptions;
  /** Body of a PUT. */
  readonly body: Buffer;
  /** Number of listings answered before this one. */
  readonly listingNumber: number;
  /** The range is to be ignored although the request asks for one. */
  readonly ignoreRange: boolean;
}

/** Does what the request asks; throws refusals. */
export function route(context: RouteContext): Answer {
  const { operation, bucket, target, options } = context;
  switch (operation) {
    case "list":
      return xmlAnswer(listObjects(bucket, target.query, options.listing ?? {}, context.listingNumber));
    case "get":
    case "head":
      return readObject(context);
    case "symlink":
      return context.method === "PUT" ? putSymlink(context) : getSymlink(context);
    case "put":
      return putObject(context);
    case "delete":
      bucket.delete(target.key);
      return emptyAnswer(204);
    case "sts":
    case "other":
      throw refuse(target.key === "" ? "NotImplemented" : "MethodNotAllowed");
  }
}

function readObject(context: RouteContext): Answer {
  const { bucket, target, headers, method } = context;
  const named = existing(bucket, target.key);
  const object = named.type === "Symlink" ? linkTarget(bucket, named) : named;
  if (object.archived && method === "GET") throw refuse("InvalidObjectState", { details: { ObjectName: target.key } });
  const common = objectHeaders(context, named, object);
  if (checkConditions(headers, object) === "not-modified") {
    return emptyAnswer(304, { ETag: `"${object.etag}"`, "Last-Modified": String(common["Last-Modified"]) });
  }
  if (method === "GET" && compresses(context, object)) return compressed(common, object);
  const standard = headerOf(headers, "x-oss-range-behavior") === "standard";
  const range = method === "HEAD" || context.ignoreRange ? undefined : headerOf(headers, "range");
  const { start, lengthBytes, partial } = selectExtent(range, object.sizeBytes, standard);
  const body = { kind: "content", content: object.content, start, lengthBytes } as const;
  if (!partial) return { status: 200, headers: common, body };
  const contentRange = `bytes ${start}-${start + lengthBytes - 1}/${object.sizeBytes}`;
  return { status: 206, headers: { ...common, "Content-Range": contentRange }, body };
}

function existing(bucket: Bucket, key: string): StoredObject {
  const object = bucket.get(key);
  if (object === undefined) throw refuse("NoSuchKey", { details: { Key: key } });
  return object;
}

function linkTarget(bucket: Bucket, link: StoredObject): StoredObject {
  const key = link.options.symlinkTarget ?? "";
  const object = bucket.get(key);
  if (object === undefined) throw refuse("SymlinkTargetNotExist", { details: { TargetKey: key } });
  if (object.type === "Symlink") throw refuse("InvalidTargetType", { details: { TargetType: object.type } });
  return object;
}

/** Length, ETag and checksums are the content's; type, storage class and metadata are those of the object named. */
function objectHeaders(context: RouteContext, named: StoredObject, object: StoredObject): Record<string, string> {
  const { options } = context;
  const modifiedMs = Math.max(named.lastModifiedMs, object.lastModifiedMs);
  const headers: Record<string, string> = {
    "Content-Type": named.contentType,
    "Accept-Ranges": "bytes",
    ETag: `"${object.etag}"`,
    "Last-Modified": httpDate(modifiedMs),
    "x-oss-object-type": named.type,
    "x-oss-storage-class": named.storageClass,
  };
  if (object.options.crc !== false && options.crc !== false) headers["x-oss-hash-crc64ecma"] = object.crcText;
  const md5 = object.options.contentMd5 ?? options.contentMd5 ?? false;
  if (md5 && object.type === "Normal") headers["Content-MD5"] = object.contentMd5;
  if (named.options.contentEncoding !== undefined) headers["Content-Encoding"] = named.options.contentEncoding;
  if (named.options.restoreInfo !== undefined) headers["x-oss-restore"] = named.options.restoreInfo;
  for (const [name, value] of Object.entries(named.options.metadata ?? {})) headers[`x-oss-meta-${name}`] = value;
  return headers;
}

const dates = new Map<number, string>();

/** RFC 1123; kept, because formatting costs more than the rest of a small answer. */
function httpDate(timeMs: number): string {
  let text = dates.get(timeMs);
  if (text === undefined) {
    text = new Date(timeMs).toUTCString();
    if (dates.size > 10_000) dates.clear();
    dates.set(timeMs, text);
  }
  return text;
}

const COMPRESSED_TYPES = new Set([
  "text/cache-manifest",
  "text/xml",
  "text/css",
  "text/html",
  "text/plain",
  "application/javascript",
  "application/x-javascript",
  "application/rss+xml",
  "application/json",
  "text/json",
]);

function compresses(context: RouteContext, object: StoredObject): boolean {
  const { headers, options } = context;
  const offered = /(?:^|[\s,])gzip\s*(?:,|;(?!\s*q=0(?:\.0*)?\s*(?:,|$))|$)/i.test(
    headerOf(headers, "accept-encoding") ?? "",
  );
  if (!offered || options.gzip === false || object.sizeBytes < 1024) return false;
  if (object.options.contentEncoding !== undefined) return false;
  const type = object.contentType.split(";")[0]?.trim().toLowerCase() ?? "";
  return headerOf(headers, "range") === undefined && COMPRESSED_TYPES.has(type);
}

function compressed(common: Readonly<Record<string, string>>, object: StoredObject): Answer {
  const { ETag: _etag, "Accept-Ranges": _ranges, ...kept } = common;
  const data = gzipSync(Buffer.concat([...object.content.slices(0, object.sizeBytes)]));
  return { status: 200, headers: { ...kept, "Content-Encoding": "gzip" }, body: { kind: "chunked", data } };
}

function getSymlink({ bucket, target }: RouteContext): Answer {
  const link = existing(bucket, target.key);
  if (link.type !== "Symlink") throw refuse("NotSymlink");
  return emptyAnswer(200, {
    ETag: `"${link.etag}"`,
    "Last-Modified": httpDate(link.lastModifiedMs),
    "x-oss-symlink-target": urlEncode(link.options.symlinkTarget ?? "").replaceAll("%2F", "/"),
  });
}

function putSymlink({ bucket, target, headers }: RouteContext): Answer {
  const symlinkTarget = decodeURIComponent(headerOf(headers, "x-oss-symlink-target") ?? "");
  const link = bucket.put(target.key, new MemoryContent(Buffer.alloc(0)), { symlinkTarget });
  return emptyAnswer(200, { ETag: `"${link.etag}"` });
}

function putObject({ bucket, target, headers, body }: RouteContext): Answer {
  const md5 = headerOf(headers, "content-md5");
  if (md5 !== undefined && md5 !== hash("md5", body, "base64")) throw refuse("InvalidDigest");
  const object = bucket.put(target.key, new MemoryContent(body), optionsOf(headers));
  return emptyAnswer(200, {
    ETag: `"${object.etag}"`,
    "Content-MD5": object.contentMd5,
    "x-oss-hash-crc64ecma": object.crcText,
  });
}

function optionsOf(headers: Headers): ObjectOptions {
  const metadata: Record<string, string> = {};
  for (const name of Object.keys(headers)) {
    if (name.startsWith("x-oss-meta-")) metadata[name.slice("x-oss-meta-".length)] = headerOf(headers, name) ?? "";
  }
  const contentType = headerOf(headers, "content-type");
  const contentEncoding = headerOf(headers, "content-encoding");
  const storageClass = storageClassOf(headerOf(headers, "x-oss-storage-class"));
  return {
    metadata,
    ...(contentType === undefined ? {} : { contentType }),
    ...(contentEncoding === undefined ? {} : { contentEncoding }),
    ...(storageClass === undefined ? {} : { storageClass }),
  };
}

const STORAGE_CLASSES: readonly StorageClass[] = ["Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"];

/** Throws InvalidArgument for a class that the service does not have. */
export function storageClassOf(text: string | undefined): StorageClass | undefined {
  if (text === undefined) return undefined;
  const found = STORAGE_CLASSES.find((name) => name === text);
  if (found === undefined) throw refuse("InvalidArgument", { message: `The storage class ${text} is not known.` });
  return found;
}
