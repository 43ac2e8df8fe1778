import type { Exposition } from "./metrics.ts";
import { messageOf } from "./write-fully.ts";

export interface PushTarget {
  /** Root of a Pushgateway; user and password in it become basic authentication. */
  readonly url: string;
  /** Grouping labels; `job` is `oss_populator` unless it is among them. */
  readonly labels: Readonly<Record<string, string>>;
}

const PUSH_MS = 10_000;

/** Replaces this group's metrics at a Pushgateway. A failure is not thrown: it comes back as a sentence for a warning. */
export async function pushMetrics(
  exposition: Exposition,
  target: PushTarget,
  signal: AbortSignal,
): Promise<string | undefined> {
  const url = groupUrl(target);
  const { username, password } = url;
  const login = Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64");
  const headers = {
    "content-type": exposition.contentType,
    ...(username !== "" && { authorization: `Basic ${login}` }),
  };
  url.username = "";
  url.password = "";
  try {
    const { request } = await import("undici");
    const body = await exposition.metrics();
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(PUSH_MS)]);
    const response = await request(url, { method: "PUT", headers, body, signal: deadline });
    await response.body.dump();
    if (response.statusCode < 300) return undefined;
    return `cannot push the metrics to ${url.origin}: it answered ${response.statusCode}`;
  } catch (error) {
    return `cannot push the metrics to ${url.origin}: ${messageOf(error)}`;
  }
}

function groupUrl({ url, labels }: PushTarget): URL {
  const { job = "oss_populator", ...others } = labels;
  const group = [["job", job] as const, ...Object.entries(others)].map(([name, value]) => segment(name, value));
  const result = new URL(url);
  result.pathname = `${result.pathname.replace(/\/+$/, "")}/metrics/${group.join("/")}`;
  return result;
}

/** A value that cannot be one path segment goes as base64, which the gateway knows by the suffix of the name. */
function segment(name: string, value: string): string {
  if (value !== "" && !value.includes("/") && !/^\.{1,2}$/.test(value)) return `${name}/${encodeURIComponent(value)}`;
  return `${name}@base64/${Buffer.from(value).toString("base64url") || "="}`;
}
