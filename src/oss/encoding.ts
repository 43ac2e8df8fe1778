/** Percent-encoding as OSS signs it; the wire carries the same text, so that nothing between rewrites a key. */

import { CopyError } from "../errors.ts";
import { printable } from "./printable.ts";

const unreservedPath = /^[A-Za-z0-9\-._~/]*$/;
const leftByEncodeUri = /[!'()*]/g;

/** Percent-encodes every UTF-8 byte but `A-Za-z0-9-._~`. Throws CopyError `rejected` for a lone surrogate. */
export function encodeValue(text: string): string {
  try {
    return encodeURIComponent(text).replace(leftByEncodeUri, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  } catch (cause) {
    throw new CopyError("rejected", `${printable(text)} is not well-formed Unicode`, { cause });
  }
}

/** Like `encodeValue`, but keeps `/`: dot segments and doubled slashes stay as they are. */
export function encodePath(key: string): string {
  return unreservedPath.test(key) ? key : encodeValue(key).replaceAll("%2F", "/");
}

export type Query = Readonly<Record<string, string>>;

/** Encoded parameters in byte order, `k=v`, or `k` alone when the value is empty; "" for none. */
export function encodeQuery(query: Query): string {
  const pairs = Object.entries(query).map(([name, value]) => [encodeValue(name), encodeValue(value)] as const);
  // Encoded names are ASCII, for which the order of UTF-16 units is the order of bytes.
  pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return pairs.map(([name, value]) => (value === "" ? name : `${name}=${value}`)).join("&");
}
