import { isIP } from "node:net";
import { type Headers, headerOf } from "./conditions.ts";
import { refuse } from "./errors.ts";
import type { Operation } from "./faults.ts";
import type { Query } from "./listing.ts";

/** How hosts are read. */
export interface AddressingOptions {
  /** `virtual` refuses path style with SecondLevelDomainForbidden, as the service does. Default `any`. */
  readonly addressing?: "any" | "virtual";
  /** Hosts of the service itself, besides IP addresses, single labels and `oss-*.aliyuncs.com`. */
  readonly serviceHosts?: readonly string[];
  /** Custom domains and their buckets. */
  readonly cnames?: Readonly<Record<string, string>>;
}

/** What a request line and its Host header name. */
export interface Target {
  readonly bucket: string;
  /** Decoded; empty for the bucket itself. */
  readonly key: string;
  readonly query: Query;
  /** As sent. */
  readonly path: string;
  readonly rawQuery: string;
  readonly style: "virtual" | "path";
}

/** Reads a request target; throws InvalidArgument for one that does not decode. */
export function parseTarget(url: string, headers: Headers, options: AddressingOptions): Target {
  const at = url.indexOf("?");
  const path = at < 0 ? url : url.slice(0, at);
  const rawQuery = at < 0 ? "" : url.slice(at + 1);
  const query = parseQuery(rawQuery);
  const bucket = bucketOfHost(headerOf(headers, "host") ?? "", options);
  if (bucket !== undefined) {
    return { bucket, key: decode(path.slice(1)), query, path, rawQuery, style: "virtual" };
  }
  const slash = path.indexOf("/", 1);
  const name = slash < 0 ? path.slice(1) : path.slice(1, slash);
  const key = slash < 0 ? "" : decode(path.slice(slash + 1));
  return { bucket: decode(name), key, query, path, rawQuery, style: "path" };
}

function bucketOfHost(host: string, options: AddressingOptions): string | undefined {
  const name = host.replace(/:\d*$/, "").toLowerCase();
  const cname = options.cnames?.[name];
  if (cname !== undefined) return cname;
  const labels = name.split(".");
  if (labels.length === 1 || isIP(name.replace(/^\[|\]$/g, "")) !== 0) return undefined;
  if (options.serviceHosts?.includes(name) === true || /^oss-[a-z0-9-]+\.aliyuncs\.com$/.test(name)) return undefined;
  return labels[0];
}

/** Name-value pairs, percent-decoded, with `+` for a space: a client that leaves `+` unescaped is caught by it. */
function parseQuery(raw: string): Query {
  const query = new Map<string, string>();
  if (raw === "") return query;
  for (const pair of raw.split("&")) {
    if (pair === "") continue;
    const at = pair.indexOf("=");
    const name = at < 0 ? pair : pair.slice(0, at);
    const value = at < 0 ? "" : pair.slice(at + 1);
    query.set(decode(name.replaceAll("+", " ")), decode(value.replaceAll("+", " ")));
  }
  return query;
}

function decode(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse("InvalidArgument", { message: "The request URI is not valid percent-encoded UTF-8." });
  }
}

/** What the service would do for this request. */
export function operationOf(method: string, target: Target): Operation {
  if (target.key === "") return method === "GET" && target.bucket !== "" && isListing(target.query) ? "list" : "other";
  if (target.query.has("symlink") && (method === "GET" || method === "PUT")) return "symlink";
  if (method === "GET") return "get";
  if (method === "HEAD") return "head";
  if (method === "PUT") return "put";
  return method === "DELETE" ? "delete" : "other";
}

/** Bucket requests for something else carry its name as a parameter without a value. */
function isListing(query: Query): boolean {
  return !["acl", "location", "bucketInfo", "stat", "policy", "versions", "uploads", "cors"].some((name) =>
    query.has(name),
  );
}
