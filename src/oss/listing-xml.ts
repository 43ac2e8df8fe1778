/** One page of ListObjectsV2, read in a single pass; a page is taken whole or refused. */

import { CopyError } from "../errors.ts";
import type { ObjectEntry } from "../types.ts";
import { printable } from "./printable.ts";
import { XmlScanner } from "./xml-scan.ts";

export interface Listing {
  readonly entries: readonly ObjectEntry[];
  readonly isTruncated: boolean;
  readonly nextContinuationToken: string | undefined;
  readonly keyCount: number | undefined;
  readonly encodingType: string | undefined;
}

type Draft = { -readonly [field in keyof ObjectEntry]: ObjectEntry[field] };

const subject = "the listing";
const root = "ListBucketResult";
const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;
const words = new Map(
  "Normal Multipart Appendable Symlink Standard IA Archive ColdArchive DeepColdArchive".split(" ").map((w) => [w, w]),
);
/**
 * An object as the service writes it, in its order and in printable ASCII without references: one look instead of twenty.
 * Whatever is written in another way is read tag by tag.
 */
const usual =
  /\s*<Contents>\s*<Key>([ !-%'-;=?-~]+)<\/Key>\s*<LastModified>([^<&\s]+)<\/LastModified>\s*<ETag>([!-%'-;=?-~]+)<\/ETag>\s*<Type>(\w+)<\/Type>\s*<Size>(\d{1,16})<\/Size>\s*<StorageClass>(\w+)<\/StorageClass>\s*<\/Contents>/y;
const keyTag = "<Key>";
const etagTag = "<ETag>";
/** What a header may carry: the ETag goes back in `If-Match`. */
const headerSafe = /^[\x20-\x7e]+$/;

/** Reads a page, keys decoded. Throws CopyError `protocol` for anything but one complete, well-formed document. */
export function parseListing(document: Uint8Array | string): Listing {
  const xml = new XmlScanner(document, subject);
  const entries: Draft[] = [];
  const fields = new Map<string, string>();
  let prefixes = 0;
  xml.root(root);
  for (let name = next(xml, entries); name !== undefined; name = next(xml, entries)) {
    if (name === "Contents") {
      entries.push(parseEntry(xml));
    } else if (isPageField(name)) {
      if (fields.has(name)) xml.fail(`<${name}> occurs twice`);
      fields.set(name, xml.string(name));
    } else {
      if (name === "CommonPrefixes") prefixes++;
      xml.skip(name);
    }
  }
  xml.end();
  return finishPage(entries, fields, prefixes);
}

/** The next element that is no object written as usual: those are taken on the way. */
function next(xml: XmlScanner, entries: Draft[]): string | undefined {
  for (let found = xml.take(usual); found !== undefined; found = xml.take(usual)) {
    const [text, key = "", modified = "", etag = "", type = "", size = "", storageClass = ""] = found;
    const keyAt = found.index + text.indexOf(keyTag) + keyTag.length;
    const etagAt = found.index + text.indexOf(etagTag, key.length) + etagTag.length;
    entries.push({
      // What was found are slices, and an entry must not keep the page in memory.
      key: xml.copy(keyAt, keyAt + key.length),
      sizeBytes: safeCount(Number(size), size, "Size"),
      etag: xml.copy(etagAt, etagAt + etag.length),
      modifiedMs: parseTimestamp(modified),
      type: intern(type),
      storageClass: intern(storageClass),
      restored: false,
    });
  }
  return xml.child(root);
}

function isPageField(name: string): boolean {
  return name === "IsTruncated" || name === "NextContinuationToken" || name === "KeyCount" || name === "EncodingType";
}

function finishPage(entries: Draft[], fields: ReadonlyMap<string, string>, prefixes: number): Listing {
  const truncated = fields.get("IsTruncated")?.trim();
  if (truncated !== "true" && truncated !== "false") refuse("it does not say whether it is truncated");
  const encodingType = fields.get("EncodingType")?.trim() || undefined;
  if (encodingType !== undefined && encodingType !== "url") {
    refuse(`its keys are encoded as ${printable(encodingType, 32)}, which was not asked for`);
  }
  const keyCountText = fields.get("KeyCount")?.trim();
  const keyCount = keyCountText === undefined ? undefined : parseCount(keyCountText, "KeyCount");
  if (keyCount !== undefined && keyCount !== entries.length + prefixes) {
    refuse(`it announces ${keyCount} keys and holds ${entries.length + prefixes}`);
  }
  // The service may name the encoding after the keys. Its SDKs decode the token along with them.
  const isEncoded = encodingType === "url";
  if (isEncoded) for (const entry of entries) entry.key = decodePercent(entry.key);
  const writtenToken = fields.get("NextContinuationToken") ?? "";
  const token = isEncoded ? decodePercent(writtenToken) : writtenToken;
  return {
    entries,
    isTruncated: truncated === "true",
    nextContinuationToken: token === "" ? undefined : token,
    keyCount,
    encodingType,
  };
}

function parseEntry(xml: XmlScanner): Draft {
  let key: string | undefined;
  let size: string | undefined;
  let etag: string | undefined;
  let modified: string | undefined;
  let type: string | undefined;
  let storageClass: string | undefined;
  let restore: string | undefined;
  for (let name = xml.child("Contents"); name !== undefined; name = xml.child("Contents")) {
    if (name === "Key") key = once(xml, name, key, xml.string(name));
    else if (name === "Size") size = once(xml, name, size, xml.token(name));
    else if (name === "ETag") etag = once(xml, name, etag, xml.string(name));
    else if (name === "LastModified") modified = once(xml, name, modified, xml.token(name));
    else if (name === "Type") type = once(xml, name, type, intern(xml.token(name)));
    else if (name === "StorageClass") storageClass = once(xml, name, storageClass, intern(xml.token(name)));
    else if (name === "RestoreInfo") restore = once(xml, name, restore, xml.token(name));
    else xml.skip(name);
  }
  if (!key) xml.fail("an object has no key");
  if (size === undefined || modified === undefined || etag === undefined) {
    xml.fail(`the object ${printable(key)} lacks its size, ETag or modification time`);
  }
  const trimmed = etag.trim();
  if (!headerSafe.test(trimmed)) xml.fail(`the ETag of ${printable(key)} is empty or not plain ASCII`);
  return {
    key,
    sizeBytes: parseCount(size.trim(), "Size"),
    etag: trimmed,
    modifiedMs: parseTimestamp(modified.trim()),
    type: type || "Normal",
    storageClass: storageClass || "Standard",
    restored: restore?.includes('ongoing-request="false"') ?? false,
  };
}

/** The same word, but no slice of the page. */
function intern(word: string): string {
  return words.get(word) ?? Buffer.from(word).toString();
}

function once(xml: XmlScanner, name: string, previous: string | undefined, value: string): string {
  if (previous !== undefined) xml.fail(`<${name}> occurs twice in an object`);
  return value;
}

function parseCount(text: string, field: string): number {
  return safeCount(/^\d{1,16}$/.test(text) ? Number(text) : Number.NaN, text, field);
}

function safeCount(count: number, text: string, field: string): number {
  if (!Number.isSafeInteger(count)) refuse(`its <${field}> ${printable(text, 32)} is no safe whole number`);
  return count;
}

/** Objects come by the thousand of a day: the day is parsed once. */
let day = { text: "", ms: Number.NaN };

function parseTimestamp(text: string): number {
  const dayText = text.slice(0, 10);
  const timeMs = timeOfDayMs(text);
  if (timeMs === undefined) return parseAnyTimestamp(text);
  if (day.text !== dayText) day = { text: dayText, ms: parseAnyTimestamp(`${dayText}T00:00:00.000Z`) };
  return day.ms + timeMs;
}

/** Of `2024-01-01T10:20:30.123Z`, the form that the service writes; undefined for any other. */
function timeOfDayMs(text: string): number | undefined {
  if (text.length !== 24 || text[10] !== "T" || text[13] !== ":" || text[16] !== ":") return undefined;
  if (text[19] !== "." || text[23] !== "Z") return undefined;
  const hours = digits(text, 11, 13);
  const minutes = digits(text, 14, 16);
  const seconds = digits(text, 17, 19);
  const ms = digits(text, 20, 23);
  return hours < 24 && minutes < 60 && seconds < 60 && ms < 1000
    ? ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
    : undefined;
}

/** Infinity for anything but digits. */
function digits(text: string, from: number, to: number): number {
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.POSITIVE_INFINITY;
  }
  return value;
}

function parseAnyTimestamp(text: string): number {
  const ms = timestamp.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) ? refuse(`its <LastModified> ${printable(text, 40)} is no UTC time`) : ms;
}

/** Undoes `%XX` only: official SDKs disagree about `+`, which stays what it is. */
function decodePercent(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    const malformed = /%(?![0-9A-Fa-f]{2})/.test(text);
    const what = malformed ? "has a malformed percent escape" : "is not valid UTF-8 once decoded";
    throw new CopyError("protocol", `${subject} holds ${printable(text)}, which ${what}`, { cause });
  }
}

function refuse(what: string): never {
  throw new CopyError("protocol", `${subject} cannot be used: ${what}`);
}
