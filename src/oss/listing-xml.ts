/** One page of ListObjectsV2, read in a single pass; a page is taken whole or refused. */

import type { ObjectEntry } from "../types.ts";
import {
  decodePercent,
  parseCount,
  readCount,
  readDecoded,
  readEtag,
  readTimestamp,
  refuse,
} from "./listing-values.ts";
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

/** The order in which the service writes the fields of an object. */
const usualOrder = ["Key", "LastModified", "ETag", "Type", "Size", "StorageClass"];
const root = "ListBucketResult";

/** Reads a page, keys decoded. Throws CopyError `protocol` for anything but one complete, well-formed document. */
export function parseListing(document: Uint8Array | string): Listing {
  const xml = new XmlScanner(document, "the listing");
  const entries: Draft[] = [];
  const fields = new Map<string, string>();
  let isEncoded = false;
  let prefixes = 0;
  xml.root(root);
  for (let name = xml.child(root, "Contents"); name !== undefined; name = xml.child(root, "Contents")) {
    if (name === "Contents") {
      entries.push(parseEntry(xml, isEncoded));
    } else if (isPageField(name)) {
      if (fields.has(name)) xml.fail(`<${name}> occurs twice`);
      fields.set(name, xml.string(name));
      if (name !== "EncodingType") continue;
      isEncoded = isUrl(fields.get(name));
      // The service may name the encoding after keys.
      if (isEncoded) for (const entry of entries) entry.key = decodePercent(entry.key);
    } else {
      if (name === "CommonPrefixes") prefixes++;
      xml.skip(name);
    }
  }
  xml.end();
  return finishPage(entries, fields, prefixes);
}

function isPageField(name: string): boolean {
  return name === "IsTruncated" || name === "NextContinuationToken" || name === "KeyCount" || name === "EncodingType";
}

function isUrl(written: string | undefined): boolean {
  const encodingType = written?.trim() || undefined;
  if (encodingType === undefined || encodingType === "url") return encodingType !== undefined;
  return refuse(`its keys are encoded as ${printable(encodingType, 32)}, which was not asked for`);
}

function finishPage(entries: readonly Draft[], fields: ReadonlyMap<string, string>, prefixes: number): Listing {
  const truncated = fields.get("IsTruncated")?.trim();
  if (truncated !== "true" && truncated !== "false") refuse("it does not say whether it is truncated");
  const keyCountText = fields.get("KeyCount")?.trim();
  const keyCount = keyCountText === undefined ? undefined : parseCount(keyCountText, "KeyCount");
  if (keyCount !== undefined && keyCount !== entries.length + prefixes) {
    refuse(`it announces ${keyCount} keys and holds ${entries.length + prefixes}`);
  }
  const encodingType = fields.get("EncodingType")?.trim() || undefined;
  const writtenToken = fields.get("NextContinuationToken") ?? "";
  // Its SDKs decode the token along with the keys.
  const token = encodingType === undefined ? writtenToken : decodePercent(writtenToken);
  return {
    entries,
    isTruncated: truncated === "true",
    nextContinuationToken: token === "" ? undefined : token,
    keyCount,
    encodingType,
  };
}

function parseEntry(xml: XmlScanner, isEncoded: boolean): Draft {
  let key: string | undefined;
  let sizeBytes: number | undefined;
  let etag: string | undefined;
  let modifiedMs: number | undefined;
  let type: string | undefined;
  let storageClass: string | undefined;
  let restore: string | undefined;
  let guess = 0;
  for (;;) {
    const name = xml.child("Contents", usualOrder[guess]);
    if (name === undefined) break;
    if (name === usualOrder[guess]) guess++;
    if (name === "Key") key = once(xml, name, key, isEncoded ? readDecoded(xml, name) : xml.string(name));
    else if (name === "Size") sizeBytes = once(xml, name, sizeBytes, readCount(xml, name));
    else if (name === "ETag") etag = once(xml, name, etag, readEtag(xml, name));
    else if (name === "LastModified") modifiedMs = once(xml, name, modifiedMs, readTimestamp(xml, name));
    else if (name === "Type") type = once(xml, name, type, xml.word(name));
    else if (name === "StorageClass") storageClass = once(xml, name, storageClass, xml.word(name));
    else if (name === "RestoreInfo") restore = once(xml, name, restore, xml.string(name));
    else xml.skip(name);
  }
  if (!key) xml.fail("an object has no key");
  if (sizeBytes === undefined || modifiedMs === undefined || etag === undefined) {
    xml.fail(`the object ${printable(key)} lacks its size, ETag or modification time`);
  }
  if (etag === "") xml.fail(`the ETag of ${printable(key)} is empty or not plain ASCII`);
  return {
    key,
    sizeBytes,
    etag,
    modifiedMs,
    type: type || "Normal",
    storageClass: storageClass || "Standard",
    restored: restore?.includes('ongoing-request="false"') ?? false,
  };
}

function once<Value>(xml: XmlScanner, name: string, previous: Value | undefined, value: Value): Value {
  if (previous !== undefined) xml.fail(`<${name}> occurs twice in an object`);
  return value;
}
