/** Turns what is wanted of the bucket into a signed request, percent-encoded byte for byte as the transport sends it. */

import { encodePath, encodeQuery, type Query } from "./encoding.ts";
import type { BucketAddress } from "./endpoint.ts";
import type { HttpRequest } from "./http/transport.ts";
import { createV1Sign, createV4Sign, type Sign, type SigningState } from "./signing.ts";

export interface RequestSpec {
  readonly method: "GET" | "HEAD";
  /** Absent for a request on the bucket itself. */
  readonly key?: string;
  readonly query?: Query;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RequestBuilderOptions {
  readonly address: BucketAddress;
  readonly bucket: string;
  /** Signature V4 with this region, or V1. */
  readonly signature: Readonly<{ version: "v4"; region: string }> | Readonly<{ version: "v1" }>;
  /** Read at every request, so that a refresh takes effect with the next one. */
  readonly state: Readonly<SigningState>;
  /** Epoch milliseconds of our clock. */
  readonly nowMs: () => number;
}

export class RequestBuilder {
  readonly bucket: string;
  readonly #address: BucketAddress;
  readonly #state: Readonly<SigningState>;
  readonly #nowMs: () => number;
  readonly #sign: Sign;

  constructor({ address, bucket, signature, state, nowMs }: RequestBuilderOptions) {
    this.bucket = bucket;
    this.#address = address;
    this.#state = state;
    this.#nowMs = nowMs;
    this.#sign = signature.version === "v4" ? createV4Sign(bucket, signature.region) : createV1Sign(bucket);
  }

  /** A request signed for this moment; names of headers are lower-case. Throws CopyError `rejected` for a lone surrogate. */
  build({ method, key = "", query = {}, headers: wanted = {} }: RequestSpec): HttpRequest {
    const encodedKey = encodePath(key);
    const encodedQuery = encodeQuery(query);
    const { credentials, clockOffsetMs } = this.#state;
    const headers =
      credentials === undefined
        ? { ...wanted }
        : this.#sign(
            { method, key, encodedKey, query, encodedQuery, headers: wanted },
            credentials,
            this.#nowMs() + clockOffsetMs,
          );
    headers.host = this.#address.host;
    const path = `${this.#address.pathPrefix}/${encodedKey}`;
    return { method, path: encodedQuery === "" ? path : `${path}?${encodedQuery}`, headers };
  }
}
