import { isIPv4, isIPv6 } from "node:net";
import { type Kind, single } from "./kinds.ts";

export type Endpoint = Readonly<{ scheme: "http" | "https"; host: string; port: number }>;

// OSS refuses longer object names: https://www.alibabacloud.com/help/en/oss/user-guide/object-naming-conventions
const maxKeyBytes = 1023;

export const bucketName: Kind<string> = single(
  "BUCKET",
  "a bucket name (3 to 63 lower-case letters, digits and hyphens, no hyphen at the ends)",
  (value) => (/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(value) ? value : undefined),
);

/** A key or a prefix; one leading slash is dropped, as no key begins with one; "" is the whole bucket. */
export const objectPath: Kind<string> = single(
  "PATH",
  `a path of at most ${maxKeyBytes} bytes of UTF-8 without NUL`,
  (value) => {
    const path = value.startsWith("/") ? value.slice(1) : value;
    return path.isWellFormed() && !path.includes("\0") && Buffer.byteLength(path) <= maxKeyBytes ? path : undefined;
  },
);

/** `oss://BUCKET/PATH` cut at its first slash; nothing in it is decoded. */
export function splitLocation(location: string): Readonly<{ bucket: string; path: string }> | undefined {
  const [, bucket, path] = /^oss:\/\/([^/]*)(?:\/(.*))?$/s.exec(location) ?? [];
  return bucket === undefined ? undefined : { bucket, path: path ?? "" };
}

/** `cn-hangzhou`; `oss-cn-hangzhou` means the same. */
export const regionId: Kind<string> = single(
  "REGION",
  "a region such as cn-hangzhou (its VPC endpoint is --internal)",
  (value) => {
    const region = value.replace(/^oss-/, "");
    return /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(region) && !region.endsWith("-internal") ? region : undefined;
  },
);

/** Scheme, host and port; HTTPS without a scheme. */
export const endpointAddress: Kind<Endpoint> = single(
  "HOST|URL",
  "a host or an http(s) URL without user, path and query, such as oss-cn-hangzhou.aliyuncs.com or http://[::1]:9000",
  (value) => {
    const withScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `https://${value}`;
    // Spaces and backslashes are refused here because the URL parser would drop or turn them.
    if (!/^https?:\/\/[^\s/\\?#@]+\/?$/i.test(withScheme) || !URL.canParse(withScheme)) return undefined;
    const url = new URL(withScheme);
    const scheme = url.protocol === "http:" ? "http" : "https";
    const host = url.hostname.replace(/^\[|\]$/g, "");
    if (url.port === "0" || !(isHostName(host) || isIPv6(host))) return undefined;
    return { scheme, host, port: url.port === "" ? (scheme === "http" ? 80 : 443) : Number(url.port) };
  },
);

/** `host` or `host:port` of STS, which is spoken over HTTPS only. */
export const stsHost: Kind<string> = single(
  "HOST",
  "a host, or an https URL without user, path and query, such as sts-vpc.cn-hangzhou.aliyuncs.com",
  (value) => {
    const endpoint = endpointAddress.parse(value);
    if (endpoint?.scheme !== "https") return undefined;
    const host = isIPv6(endpoint.host) ? `[${endpoint.host}]` : endpoint.host;
    return endpoint.port === 443 ? host : `${host}:${endpoint.port}`;
  },
);

export const roleArn = arn("role");
export const oidcProviderArn = arn("oidc-provider");

function arn(resource: string): Kind<string> {
  const pattern = new RegExp(`^acs:ram::\\d+:${resource}/[^\\s/]+$`);
  const must = `the ARN of a RAM ${resource}, such as acs:ram::123456789012:${resource}/NAME`;
  return single("ARN", must, (value) => (pattern.test(value) ? value : undefined));
}

/** The region that an endpoint of OSS names; undefined for accelerated and foreign hosts. */
export function regionOfHost(host: string): string | undefined {
  const classic = /^oss-([a-z]{2}-[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com$/.exec(host);
  const dualStack = /^([a-z]{2}-[a-z0-9-]+)\.oss\.aliyuncs\.com$/.exec(host);
  return classic?.[1] ?? dualStack?.[1];
}

/** The host without a leading bucket; a host that is an endpoint of OSS already keeps its first label. */
export function hostWithoutBucket(host: string, bucket: string): string {
  const rest = host.startsWith(`${bucket}.`) ? host.slice(bucket.length + 1) : host;
  return isIPv4(host) || regionOfHost(host) !== undefined ? host : rest;
}

/** Whether a host has no room for a bucket before it. */
export function isAddress(host: string): boolean {
  return isIPv4(host) || isIPv6(host);
}

function isHostName(host: string): boolean {
  return host.length <= 253 && host.split(".").every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label));
}
