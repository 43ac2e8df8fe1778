import type { Dispatcher } from "undici";
import { messageOf } from "./write-fully.ts";

/** Variables `http_proxy`, `https_proxy` and `no_proxy`, by their meaning. */
export interface Proxies {
  readonly httpProxy?: string | undefined;
  readonly httpsProxy?: string | undefined;
  readonly noProxy?: string | undefined;
}

export interface Message {
  readonly method: "PUT" | "POST";
  /** User and password in it become basic authentication. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Longest time for all of it but the loading of the client, milliseconds. */
  readonly timeoutMs: number;
  /** Undefined goes straight to the host. */
  readonly proxies?: Proxies | undefined;
  /** Certificates that are trusted besides the usual ones, as PEM. */
  readonly ca?: string | undefined;
}

const mostShownChars = 200;

/**
 * Sends one request, once; `signal` gives it up. A failure is not thrown: it comes back as the reason, without the URL's
 * user and password.
 */
export async function send(message: Message, signal?: AbortSignal): Promise<string | undefined> {
  const { request } = await import("undici");
  const url = new URL(message.url);
  const login = basicLogin(url);
  url.username = "";
  url.password = "";
  let dispatcher: Dispatcher;
  try {
    dispatcher = await dispatcherFor(message);
  } catch (error) {
    return reasonOf(error);
  }
  const abort = new AbortController();
  const giveUp = (): void => abort.abort(new Error("it took too long"));
  const timer = setTimeout(giveUp, message.timeoutMs);
  signal?.addEventListener("abort", giveUp, { once: true });
  if (signal?.aborted) giveUp();
  try {
    const response = await request(url, {
      dispatcher,
      method: message.method,
      headers: { ...message.headers, ...(login !== undefined && { authorization: `Basic ${login}` }) },
      body: message.body ?? "",
      signal: abort.signal,
    });
    const text = await response.body.text();
    if (response.statusCode >= 200 && response.statusCode < 300) return undefined;
    const [line = ""] = text.trim().slice(0, mostShownChars).split("\n", 1);
    return `it answered ${response.statusCode}${line === "" ? "" : `, ${line}`}`;
  } catch (error) {
    return reasonOf(error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
    await dispatcher.destroy();
  }
}

/** What of a URL must not be shown: its password, and both forms in which it goes over the wire. */
export function secretsOfUrl(text: string | undefined): string[] {
  if (text === undefined) return [];
  const url = new URL(text);
  const login = basicLogin(url);
  return login === undefined ? [] : [url.password, decoded(url.password), login];
}

/** Where a URL leads, for messages: scheme, host and port. */
export function placeOf(url: string): string {
  return new URL(url).origin;
}

function basicLogin({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return undefined;
  return Buffer.from(`${decoded(username)}:${decoded(password)}`).toString("base64");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a percent sign that stands for itself
  }
}

async function dispatcherFor({ timeoutMs, proxies, ca }: Message): Promise<Dispatcher> {
  const [{ Agent, EnvHttpProxyAgent }, { getCACertificates }] = await Promise.all([
    import("undici"),
    import("node:tls"),
  ]);
  // Given, or NODE_TLS_REJECT_UNAUTHORIZED could take the verification away.
  const trusted = ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] };
  const tls = { rejectUnauthorized: true, ...trusted };
  const common = { allowH2: false, connect: { ...tls, timeout: timeoutMs }, maxResponseSize: 64 * 1024 };
  if (!proxies?.httpProxy && !proxies?.httpsProxy) return new Agent(common);
  // Empty texts, not undefined: undici would look into the environment.
  const { httpProxy = "", httpsProxy = "", noProxy = "" } = proxies;
  return new EnvHttpProxyAgent({
    ...common,
    httpProxy,
    httpsProxy,
    noProxy,
    connectTimeout: timeoutMs,
    requestTls: tls,
    proxyTls: tls,
  });
}

/** Several addresses of a host that all failed come as one error without a message of its own. */
function reasonOf(error: unknown): string {
  const message = messageOf(error);
  if (message !== "") return message;
  return error instanceof AggregateError ? reasonOf(error.errors[0]) : "unknown cause";
}
