import type { Content } from "./content.ts";
import { errorXml, type OssFailure } from "./errors.ts";

/** Body of an answer before faults. */
export type Body =
  | { readonly kind: "bytes"; readonly data: Buffer }
  | { readonly kind: "content"; readonly content: Content; readonly start: number; readonly lengthBytes: number }
  /** Content in another coding, whose length is not announced. */
  | { readonly kind: "chunked"; readonly data: Buffer };

/** What is to be sent, apart from the headers that every answer has. */
export interface Answer {
  readonly status: number;
  /** Without Content-Length, Date, Server and the request ID. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Body;
}

const EMPTY: Body = { kind: "bytes", data: Buffer.alloc(0) };

export function emptyAnswer(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers, body: EMPTY };
}

export function xmlAnswer(text: string): Answer {
  return {
    status: 200,
    headers: { "Content-Type": "application/xml" },
    body: { kind: "bytes", data: Buffer.from(text, "utf8") },
  };
}

/** An error as a document, or for HEAD as base64 in `x-oss-err`. */
export function failureAnswer(failure: OssFailure, request: FailedRequest): Answer {
  if (failure.status < 400) return emptyAnswer(failure.status, request.headers);
  const xml = Buffer.from(errorXml(failure, request.id, request.host), "utf8");
  const headers = { "x-oss-ec": failure.ec, ...request.headers };
  if (request.method === "HEAD") {
    return emptyAnswer(failure.status, { ...headers, "x-oss-err": xml.toString("base64") });
  }
  const body: Body = { kind: "bytes", data: xml };
  return { status: failure.status, headers: { "Content-Type": "application/xml", ...headers }, body };
}

/** What an error document says of the request. */
export interface FailedRequest {
  readonly id: string;
  readonly method: string;
  readonly host: string;
  /** Further response headers. */
  readonly headers?: Readonly<Record<string, string>>;
}
