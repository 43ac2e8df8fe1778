/** One unsigned call of Alibaba Cloud's security token service, over HTTPS only. */
import { CopyError } from "../errors.ts";
import { reasonOf } from "./http/failures.ts";

export interface StsOptions {
  /** PEM certificates that are trusted besides the usual ones. */
  readonly ca?: string | undefined;
  readonly httpsProxy?: string | undefined;
  readonly noProxy?: string | undefined;
  /** Wait before the second attempt, milliseconds; doubles with each further one. */
  readonly retryBaseMs?: number | undefined;
}

export interface StsAnswer {
  readonly status: number;
  /** The parsed JSON; undefined where it is none. */
  readonly body: unknown;
}

const connectMs = 5_000;
const silenceMs = 10_000;
const maxAnswerBytes = 64 * 1024;

/** Throws CopyError `credentials` for an endpoint that cannot be one, `unreachable` when there is no answer. */
export async function callSts(
  endpoint: string,
  form: Readonly<Record<string, string>>,
  options: StsOptions,
  signal: AbortSignal,
): Promise<StsAnswer> {
  const url = endpointUrl(endpoint);
  const { EnvHttpProxyAgent, request } = await import("undici");
  const { trustedCertificates } = await import("./http/trust.ts");
  // Given, or NODE_TLS_REJECT_UNAUTHORIZED could take the verification away.
  const tls = {
    rejectUnauthorized: true,
    ...(options.ca === undefined ? {} : { ca: trustedCertificates(options.ca) }),
  };
  const agent = new EnvHttpProxyAgent({
    allowH2: false,
    httpProxy: "",
    httpsProxy: options.httpsProxy ?? "",
    noProxy: options.noProxy ?? "",
    connectTimeout: connectMs,
    connect: { ...tls, timeout: connectMs },
    requestTls: tls,
    maxResponseSize: maxAnswerBytes,
  });
  try {
    const response = await request(url, {
      dispatcher: agent,
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams(form).toString(),
      headersTimeout: silenceMs,
      bodyTimeout: silenceMs,
      signal,
    });
    return { status: response.statusCode, body: parsed(await response.body.text()) };
  } catch (error) {
    signal.throwIfAborted();
    throw new CopyError("unreachable", `cannot reach STS at ${url.host}: ${reasonOf(error)}`, { cause: error });
  } finally {
    await agent.destroy();
  }
}

function endpointUrl(endpoint: string): URL {
  const text = endpoint.includes("://") ? endpoint : `https://${endpoint}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" && url.username === "" && url.password === "") return new URL("/", url);
  throw new CopyError(
    "credentials",
    `STS endpoint ${JSON.stringify(endpoint)} is not a host, nor an https URL without credentials`,
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
