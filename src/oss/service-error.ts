/** What the service says when it refuses, read leniently: a refusal may come cut, as HTML, or from something in between. */

import type { ResponseHead } from "./http/transport.ts";
import { decodeEntities } from "./xml-entities.ts";

/** Fields of an error answer; values are the server's own and unbounded. */
export interface ServiceError {
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly requestId: string | undefined;
  /** Diagnostic error code; it helps support and is not stable. */
  readonly ec: string | undefined;
  /** The endpoint that the bucket is to be reached by. */
  readonly endpoint: string | undefined;
  readonly storageClass: string | undefined;
}

/** Reads the error from the body, or for HEAD from `x-oss-err`. */
export function readServiceError({ headers }: ResponseHead, body: Uint8Array): ServiceError {
  const xml = body.length > 0 ? Buffer.from(body) : Buffer.from(headers["x-oss-err"] ?? "", "base64");
  const text = xml.toString();
  const field = (name: string): string | undefined => elementText(text, name);
  return {
    code: field("Code"),
    message: field("Message"),
    requestId: headers["x-oss-request-id"] ?? field("RequestId"),
    ec: headers["x-oss-ec"] ?? field("EC"),
    endpoint: field("Endpoint"),
    storageClass: headers["x-oss-storage-class"] ?? field("StorageClass"),
  };
}

/** Text of the first element of that name, entities and CDATA resolved. */
export function elementText(xml: string, name: string): string | undefined {
  const start = xml.indexOf(`<${name}>`);
  const end = start < 0 ? -1 : xml.indexOf(`</${name}>`, start);
  if (end < 0) return undefined;
  const text = xml.slice(start + name.length + 2, end).trim();
  const cdata = /^<!\[CDATA\[(.*)\]\]>$/s.exec(text)?.[1];
  return (cdata ?? decodeEntities(text, (reference) => reference)) || undefined;
}
