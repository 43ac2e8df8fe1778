import { type BucketLocation, bucketAddress } from "../../src/oss/endpoint.ts";
import { RequestBuilder } from "../../src/oss/request.ts";

/** Requests to the bucket `bkt` that carry no signature. */
export function anonymousRequests(endpoint: BucketLocation["endpoint"]): RequestBuilder {
  return new RequestBuilder({
    address: bucketAddress({ endpoint, addressing: "auto", bucket: "bkt" }),
    bucket: "bkt",
    signature: { version: "v4", region: "r" },
    state: { credentials: undefined, clockOffsetMs: 0 },
    nowMs: () => 0,
  });
}
