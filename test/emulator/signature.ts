import { createHmac, hash } from "node:crypto";
import { type Headers, headerOf } from "./conditions.ts";
import { type Query, urlEncode } from "./listing.ts";

/** What a signature covers of a request. */
export interface SignedRequest {
  readonly method: string;
  readonly bucket: string;
  /** Decoded; empty for an operation on the bucket. */
  readonly key: string;
  /** Decoded. */
  readonly query: Query;
  readonly headers: Headers;
}

/** Query parameters that the V1 signature covers, besides every `x-oss-*`. */
const SUB_RESOURCES = new Set(
  (
    "acl append asyncFetch bucketInfo callback callback-var cloudboxes cname comp continuation-token cors delete encryption " +
    "endTime img inventory inventoryId lifecycle link live location logging metaQuery objectMeta partNumber policy position " +
    "publicAccessBlock qos qosInfo qosRequester referer regionList replication replicationLocation replicationProgress " +
    "requestPayment requesterQosInfo resourceGroup resourcePool response-cache-control response-content-disposition " +
    "response-content-encoding response-content-language response-content-type response-expires restore rtc security-token " +
    "sequential startTime stat status style styleName symlink tagging transferAcceleration udf udfApplication " +
    "udfApplicationLog udfId udfImage udfImageDesc udfName uploadId uploads versionId versioning versions vod website worm " +
    "wormExtend wormId"
  ).split(" "),
);

/** The text that a V1 signature signs; `date` is that of the Date header or `x-oss-date`. */
export function stringToSignV1(request: SignedRequest, date: string): string {
  const { method, headers } = request;
  const ossHeaders = Object.keys(headers)
    .filter((name) => name.startsWith("x-oss-"))
    .sort()
    .map((name) => `${name}:${(headerOf(headers, name) ?? "").trim()}\n`);
  const parts = [method, headerOf(headers, "content-md5") ?? "", headerOf(headers, "content-type") ?? "", date];
  return `${parts.join("\n")}\n${ossHeaders.join("")}${canonicalResource(request)}`;
}

function canonicalResource({ bucket, key, query }: SignedRequest): string {
  const signed = [...query]
    .filter(([name]) => SUB_RESOURCES.has(name) || name.startsWith("x-oss-"))
    .map(([name, value]) => (value === "" ? name : `${name}=${value}`))
    .sort();
  const path = bucket === "" ? "/" : `/${bucket}/${key}`;
  return signed.length === 0 ? path : `${path}?${signed.join("&")}`;
}

/** Base64 V1 signature. */
export function signV1(request: SignedRequest, secret: string, date: string): string {
  return createHmac("sha1", secret).update(stringToSignV1(request, date), "utf8").digest("base64");
}

/** `<date>/<region>/<product>/aliyun_v4_request` of a V4 credential. */
export interface Scope {
  readonly date: string;
  readonly region: string;
  readonly product: string;
}

/** The canonical request of V4; `additional` are the names of AdditionalHeaders, lower-case and sorted. */
export function canonicalRequestV4(request: SignedRequest, additional: readonly string[]): string {
  const { method, bucket, key, query, headers } = request;
  const path = bucket === "" ? "/" : `/${bucket}/${urlEncode(key).replaceAll("%2F", "/")}`;
  const pairs = [...query].map(([name, value]) => [urlEncode(name), urlEncode(value)] as const);
  // Encoded names are ASCII: UTF-16 order is byte order.
  pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const queryText = pairs.map(([name, value]) => (value === "" ? name : `${name}=${value}`)).join("&");
  const signedHeaders = Object.keys(headers)
    .filter((name) => isDefaultSigned(name) || additional.includes(name))
    .sort()
    .map((name) => `${name}:${(headerOf(headers, name) ?? "").trim()}\n`);
  return [method, path, queryText, signedHeaders.join(""), additional.join(";"), "UNSIGNED-PAYLOAD"].join("\n");
}

function isDefaultSigned(name: string): boolean {
  return name === "content-type" || name === "content-md5" || name.startsWith("x-oss-");
}

/** The text that a V4 signature signs; `date` as the request wrote it. */
export function stringToSignV4(canonicalRequest: string, date: string, scope: Scope): string {
  const scopeText = `${scope.date}/${scope.region}/${scope.product}/aliyun_v4_request`;
  return `OSS4-HMAC-SHA256\n${date}\n${scopeText}\n${hash("sha256", canonicalRequest, "hex")}`;
}

/** Hexadecimal V4 signature of a string to sign. */
export function signV4(stringToSign: string, secret: string, scope: Scope): string {
  return createHmac("sha256", signingKey(secret, scope)).update(stringToSign, "utf8").digest("hex");
}

const signingKeys = new Map<string, Buffer>();

/** The key of a day, region and secret, kept because it serves every request of that day. */
function signingKey(secret: string, scope: Scope): Buffer {
  const name = `${secret}\n${scope.date}\n${scope.region}\n${scope.product}`;
  const known = signingKeys.get(name);
  if (known !== undefined) return known;
  let key: Buffer = Buffer.from(`aliyun_v4${secret}`, "utf8");
  for (const part of [scope.date, scope.region, scope.product, "aliyun_v4_request"]) {
    key = createHmac("sha256", key).update(part, "utf8").digest();
  }
  if (signingKeys.size > 1000) signingKeys.clear();
  signingKeys.set(name, key);
  return key;
}
