/** Where a bucket is reached: the address to connect to, the name to call it by, and what its paths begin with. */

import { isIP } from "node:net";

export interface BucketLocation {
  readonly endpoint: Readonly<{ scheme: "http" | "https"; host: string; port: number }>;
  readonly addressing: "auto" | "virtual" | "path" | "cname";
  readonly bucket: string;
}

export interface BucketAddress {
  /** What to connect to; an IPv6 address without brackets. */
  readonly origin: Readonly<{ scheme: "http" | "https"; host: string; port: number }>;
  /** Value of the `Host` header; the port only where it is not the scheme's own. */
  readonly host: string;
  /** "" or `/bucket`; an encoded key follows after a slash. */
  readonly pathPrefix: string;
}

/** `auto` is path style for IP addresses and localhost, which have no subdomain for the bucket, and virtual otherwise. */
export function bucketAddress({ endpoint, addressing, bucket }: BucketLocation): BucketAddress {
  const { scheme, port } = endpoint;
  const host = endpoint.host.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const local = isLocal(host);
  const style = addressing === "auto" ? (local ? "path" : "virtual") : addressing;
  const bracketed = isIP(host) === 6 ? `[${host}]` : host;
  const named = style === "virtual" ? `${bucket}.${bracketed}` : bracketed;
  return {
    // `bucket.127.0.0.1` is no address and `bucket.localhost` need not resolve: there the bucket stands in Host only.
    origin: { scheme, host: local ? host : named, port },
    host: port === (scheme === "https" ? 443 : 80) ? named : `${named}:${port}`,
    pathPrefix: style === "path" ? `/${bucket}` : "",
  };
}

function isLocal(host: string): boolean {
  return isIP(host) !== 0 || host === "localhost" || host.endsWith(".localhost");
}
