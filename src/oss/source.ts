/** The control plane of a bucket over any transport: each call is one request. */

import { CopyError } from "../errors.ts";
import type { ListPosition, ObjectEntry, ObjectSource, Refusal } from "../types.ts";
import { Collector } from "./collector.ts";
import type { Query } from "./encoding.ts";
import { subjectOf } from "./error-response.ts";
import { type Acceptor, exchange } from "./exchange.ts";
import type { Flow, ResponseHead, Transport } from "./http/transport.ts";
import { type Listing, parseListing } from "./listing-xml.ts";
import { contentLength, modifiedMsOf, objectHead } from "./object-head.ts";
import { ObjectReader } from "./object-reader.ts";
import { printable } from "./printable.ts";
import type { RequestBuilder } from "./request.ts";

/** 1,000 keys of 1,023 bytes, each byte as `%XX`, are 3 MiB. */
const maxPageBytes = 16 * 1024 * 1024;
const defaultMaxKeys = 1000;

type Refresh = ObjectSource["refresh"];

export class OssSource implements ObjectSource {
  readonly #transport: Transport;
  readonly #requests: RequestBuilder;
  readonly #refresh: Refresh;

  /** `refresh` renews what `requests` signs with; concurrent calls are its concern. */
  constructor(transport: Transport, requests: RequestBuilder, refresh: Refresh) {
    this.#transport = transport;
    this.#requests = requests;
    this.#refresh = refresh;
  }

  async listPage(position: ListPosition, signal: AbortSignal): ReturnType<ObjectSource["listPage"]> {
    const request = this.#requests.build({ method: "GET", query: listQuery(position) });
    const page = new PageBody();
    const asked = { operation: "list", key: "", bucket: this.#requests.bucket } as const;
    const { receivedBytes } = await exchange(this.#transport, request, asked, page, signal);
    try {
      const listing = parseListing(page.bytes());
      checkPrefix(listing, position.prefix);
      return { entries: listing.entries, receivedBytes, next: nextPosition(listing, position) };
    } catch (error) {
      if (!(error instanceof CopyError)) throw error;
      throw new CopyError(error.kind, error.message, { cause: error.cause ?? error, receivedBytes });
    }
  }

  async head(key: string, signal: AbortSignal): ReturnType<ObjectSource["head"]> {
    const request = this.#requests.build({ method: "HEAD", key });
    const asked = { operation: "head", key } as const;
    const { accepted } = await exchange(this.#transport, request, asked, headAcceptor(subjectOf(asked)), signal);
    const { headers } = accepted;
    return {
      ...objectHead(accepted, contentLength(accepted, asked), asked),
      modifiedMs: modifiedMsOf(accepted, asked),
      type: headers["x-oss-object-type"] ?? "Normal",
      storageClass: headers["x-oss-storage-class"] ?? "Standard",
      restored: headers["x-oss-restore"]?.includes('ongoing-request="false"') ?? false,
    };
  }

  async probe({ key, etag, sizeBytes }: ObjectEntry, signal: AbortSignal): Promise<void> {
    const memory = new Uint8Array(1);
    const range = sizeBytes > 0 ? { start: 0, length: 1 } : undefined;
    const sink = { accept: () => {}, buffer: () => memory, filled: () => {} };
    await new ObjectReader(this.#transport, this.#requests).read(
      { key, etag, objectBytes: sizeBytes, range },
      sink,
      signal,
    );
  }

  refresh(refusal: Refusal, signal: AbortSignal): Promise<void> {
    return this.#refresh(refusal, signal);
  }
}

function listQuery({ prefix, startAfter, continuationToken, maxKeys = defaultMaxKeys }: ListPosition): Query {
  return {
    "list-type": "2",
    // Keys may hold characters that XML cannot.
    "encoding-type": "url",
    "max-keys": String(maxKeys),
    ...(prefix === "" ? {} : { prefix }),
    // A token stands for the position that it continues, `start-after` included.
    ...(continuationToken === undefined
      ? startAfter === undefined || startAfter === ""
        ? {}
        : { "start-after": startAfter }
      : { "continuation-token": continuationToken }),
  };
}

function nextPosition(
  listing: Listing,
  { prefix, continuationToken, maxKeys }: ListPosition,
): ListPosition | undefined {
  if (!listing.isTruncated) return undefined;
  const token = listing.nextContinuationToken;
  if (token === undefined) throw new CopyError("protocol", "the listing is truncated and has no continuation token");
  if (token === continuationToken) throw new CopyError("source", "the listing repeats its continuation token");
  return { prefix, continuationToken: token, ...(maxKeys === undefined ? {} : { maxKeys }) };
}

/** A prefix that was ignored would copy the bucket; a wrongly decoded key shows itself here too. */
function checkPrefix({ entries }: Listing, prefix: string): void {
  if (prefix === "") return;
  const stray = entries.find(({ key }) => !key.startsWith(prefix));
  if (stray === undefined) return;
  const message = `the listing of ${printable(prefix)} holds the key ${printable(stray.key)}, which does not begin with it`;
  throw new CopyError("protocol", message);
}

function headAcceptor(subject: string): Acceptor<ResponseHead> {
  const surprise = (): never => {
    throw new CopyError("protocol", `the answer for ${subject} has a body`);
  };
  return { accept: (head) => expect200(head, subject), buffer: surprise, filled: surprise };
}

class PageBody implements Acceptor<ResponseHead> {
  readonly #body = new Collector(maxPageBytes);

  accept(head: ResponseHead, _flow: Flow): ResponseHead {
    const announced = Number(head.headers["content-length"] ?? 0); // a length, or the transport had refused it
    if (announced > 0) this.#body.expect(announced);
    return expect200(head, "the listing");
  }

  buffer(): Uint8Array {
    return this.#body.buffer();
  }

  filled(bytes: number): void {
    if (this.#body.filled(bytes)) return;
    throw new CopyError("protocol", `the listing is longer than ${maxPageBytes} bytes, which no page of keys is`);
  }

  bytes(): Uint8Array {
    return this.#body.bytes();
  }
}

function expect200(head: ResponseHead, subject: string): ResponseHead {
  if (head.status === 200) return head;
  throw new CopyError("protocol", `the answer for ${subject} has the status ${head.status}, not 200`);
}
