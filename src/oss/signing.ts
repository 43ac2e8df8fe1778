/** Header signatures of Alibaba Cloud OSS, version 4 (HMAC-SHA256) and version 1 (HMAC-SHA1). */

import { createHmac, createSecretKey, hash, type KeyObject } from "node:crypto";
import type { Query } from "./encoding.ts";

export interface Credentials {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly securityToken?: string | undefined;
}

/** Who signs and by which clock; the session replaces the values, the next request reads them. */
export interface SigningState {
  /** undefined is anonymous: nothing is signed. */
  credentials: Credentials | undefined;
  /** The server's clock minus ours. */
  clockOffsetMs: number;
}

/** What a signature covers; names of headers are lower-case. */
export interface Signable {
  readonly method: string;
  /** "" for a request on the bucket itself. */
  readonly key: string;
  /** `key` as `encodePath` gives it. */
  readonly encodedKey: string;
  readonly query: Query;
  /** `query` as `encodeQuery` gives it. */
  readonly encodedQuery: string;
  readonly headers: Readonly<Record<string, string>>;
  /** V4 only: headers to sign beyond those that always are. */
  readonly additionalHeaders?: readonly string[];
}

/** The headers of `signable` and those that prove the identity at `timeMs` (epoch milliseconds of the server's clock). */
export type Sign = (signable: Signable, credentials: Credentials, timeMs: number) => Record<string, string>;

const product = "oss";
const terminator = "aliyun_v4_request";
const payload = "UNSIGNED-PAYLOAD";

/** Makes a V4 signer that derives its key once per secret and day. */
export function createV4Sign(bucket: string, region: string): Sign {
  let stamp = { second: Number.NaN, text: "", day: "" };
  let derived: { readonly secret: string; readonly day: string; readonly key: KeyObject } | undefined;

  return (signable, credentials, timeMs) => {
    const second = Math.floor(timeMs / 1000);
    if (stamp.second !== second) {
      const text = isoBasic(second);
      stamp = { second, text, day: text.slice(0, 8) };
    }
    const { text, day } = stamp;
    if (derived?.day !== day || derived.secret !== credentials.accessKeySecret) {
      derived = { secret: credentials.accessKeySecret, day, key: deriveKey(credentials.accessKeySecret, day, region) };
    }
    const headers = withToken(signable.headers, credentials);
    headers["x-oss-content-sha256"] = payload;
    headers["x-oss-date"] = text;
    const additional = additionalNames(signable);
    const canonical = canonicalRequest(signable, bucket, headers, additional);
    const scope = `${day}/${region}/${product}/${terminator}`;
    const toSign = `OSS4-HMAC-SHA256\n${text}\n${scope}\n${hash("sha256", canonical)}`;
    const signature = createHmac("sha256", derived.key).update(toSign).digest("hex");
    const named = additional.length === 0 ? "" : `AdditionalHeaders=${additional.join(";")},`;
    headers.authorization = `OSS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope},${named}Signature=${signature}`;
    return headers;
  };
}

/** Makes a V1 signer, for gateways that know no V4. */
export function createV1Sign(bucket: string): Sign {
  return (signable, credentials, timeMs) => {
    const headers = withToken(signable.headers, credentials);
    headers.date = new Date(timeMs).toUTCString();
    const toSign =
      `${signable.method}\n${headers["content-md5"] ?? ""}\n${headers["content-type"] ?? ""}\n${headers.date}\n` +
      headerLines(headers, Object.keys(headers).filter(isOssHeader)) +
      `/${bucket}/${signable.key}${subResources(signable.query)}`;
    const signature = createHmac("sha1", credentials.accessKeySecret).update(toSign).digest("base64");
    headers.authorization = `OSS ${credentials.accessKeyId}:${signature}`;
    return headers;
  };
}

/** The text whose SHA-256 a V4 signature covers; exported for the published vectors. */
export function canonicalRequest(
  { method, encodedKey, encodedQuery }: Signable,
  bucket: string,
  headers: Readonly<Record<string, string>>,
  additional: readonly string[],
): string {
  const names = Object.keys(headers).filter((name) => isDefaultHeader(name) || additional.includes(name));
  // The bucket is part of the path whatever the addressing style.
  return `${method}\n/${bucket}/${encodedKey}\n${encodedQuery}\n${headerLines(headers, names)}\n${additional.join(";")}\n${payload}`;
}

function withToken(headers: Readonly<Record<string, string>>, { securityToken }: Credentials): Record<string, string> {
  return securityToken ? { ...headers, "x-oss-security-token": securityToken } : { ...headers };
}

function additionalNames({ additionalHeaders, headers }: Signable): string[] {
  if (additionalHeaders === undefined) return [];
  const names = new Set(additionalHeaders.map((name) => name.toLowerCase()));
  return [...names].filter((name) => headers[name] !== undefined && !isDefaultHeader(name)).sort();
}

function headerLines(headers: Readonly<Record<string, string>>, names: string[]): string {
  let lines = "";
  for (const name of names.sort()) lines += `${name}:${headers[name]?.trim() ?? ""}\n`;
  return lines;
}

function isOssHeader(name: string): boolean {
  return name.startsWith("x-oss-");
}

function isDefaultHeader(name: string): boolean {
  return isOssHeader(name) || name === "content-type" || name === "content-md5";
}

/** As a KeyObject, with which an HMAC takes an eighth of the time that it takes with the same key in a buffer. */
function deriveKey(secret: string, day: string, region: string): KeyObject {
  let key: Buffer = Buffer.from(`aliyun_v4${secret}`);
  for (const part of [day, region, product, terminator]) key = createHmac("sha256", key).update(part).digest();
  return createSecretKey(key);
}

/** `20231216T162057Z` */
function isoBasic(second: number): string {
  return `${new Date(second * 1000).toISOString().slice(0, 19).replaceAll(/[-:]/g, "")}Z`;
}

/** Query parameters that V1 signs besides `x-oss-*` and `response-*`, of those that a reading client can send. */
const signedByV1 = new Set(["acl", "continuation-token", "restore", "security-token", "symlink", "versionId"]);

function subResources(query: Query): string {
  const signed = Object.keys(query)
    .filter((name) => signedByV1.has(name) || isOssHeader(name) || name.startsWith("response-"))
    .sort()
    .map((name) => (query[name] === "" ? name : `${name}=${query[name] ?? ""}`));
  return signed.length === 0 ? "" : `?${signed.join("&")}`;
}
