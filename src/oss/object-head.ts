/** What the head of an answer says of an object. */

import { CopyError } from "../errors.ts";
import type { ObjectHead } from "../types.ts";
import { httpDateMs, type RefusedRequest, subjectOf } from "./error-response.ts";
import type { ResponseHead } from "./http/transport.ts";
import { printable } from "./printable.ts";

/** Reads the head of an answer to `asked`. Throws CopyError `protocol` where it is incomplete. */
export function objectHead({ headers }: ResponseHead, sizeBytes: number, asked: RefusedRequest): ObjectHead {
  const { etag } = headers;
  const crcText = headers["x-oss-hash-crc64ecma"];
  if (!etag) throw new CopyError("protocol", `the answer for ${subjectOf(asked)} has no ETag`);
  return {
    sizeBytes,
    etag,
    crc64: crcText === undefined ? undefined : parseCrc(crcText, asked),
    contentMd5: headers["content-md5"],
    requestId: headers["x-oss-request-id"],
  };
}

/** When the object was last modified. Throws CopyError `protocol` where the head does not say. */
export function modifiedMsOf({ headers }: ResponseHead, asked: RefusedRequest): number {
  const ms = httpDateMs(headers["last-modified"]);
  if (ms === undefined) throw new CopyError("protocol", `the answer for ${subjectOf(asked)} has no Last-Modified`);
  return ms;
}

/** The Content-Length of an answer. Throws CopyError `protocol` where it is missing or no number. */
export function contentLength({ headers }: ResponseHead, asked: RefusedRequest): number {
  const text = headers["content-length"] ?? "";
  const bytes = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  const found = text === "" ? "no Content-Length" : `the Content-Length ${printable(text, 32)}`;
  throw new CopyError("protocol", `the answer for ${subjectOf(asked)} has ${found}`);
}

/** Whether two ETags name the same version; some gateways leave the quotes out of listings. */
export function sameEtag(a: string, b: string): boolean {
  return a === b || unquoted(a) === unquoted(b);
}

/** An ETag without its quotes. */
export function unquoted(etag: string): string {
  return etag.replace(/^"(.*)"$/, "$1");
}

function parseCrc(text: string, asked: RefusedRequest): bigint {
  const crc = /^\d{1,20}$/.test(text) ? BigInt(text) : -1n;
  if (crc < 0n || crc >= 1n << 64n) {
    throw new CopyError(
      "protocol",
      `the CRC-64 ${printable(text, 32)} of ${subjectOf(asked)} is no unsigned 64-bit number`,
    );
  }
  return crc;
}
