/** One unsigned call of Alibaba Cloud's security token service, over HTTPS only. */
import type { Dispatcher } from "undici";
import { CopyError } from "../errors.ts";
import { httpDateMs } from "./error-response.ts";
import { abortable } from "./http/aborts.ts";
import { reasonOf } from "./http/failures.ts";
import { elementText } from "./service-error.ts";

export interface StsOptions {
  /** PEM certificates that are trusted besides the usual ones. */
  readonly ca?: string | undefined;
  readonly httpsProxy?: string | undefined;
  readonly noProxy?: string | undefined;
  /** Told of each value that must not be shown, before it is used. */
  readonly onSecret?: ((secret: string) => void) | undefined;
}

export interface StsAnswer {
  readonly status: number;
  /** The service's own clock, milliseconds since the epoch. */
  readonly dateMs: number | undefined;
  /** The parsed JSON, or the error that XML holds; undefined where it is neither. */
  readonly body: unknown;
}

const connectMs = 5_000;
const silenceMs = 10_000;
/** A body that comes drop by drop is no answer either. */
const wholeMs = 20_000;
const maxAnswerBytes = 64 * 1024;

/** Throws CopyError `credentials` for an endpoint that cannot be one, `identity` when there is no usable answer. */
export async function callSts(
  endpoint: string,
  form: Readonly<Record<string, string>>,
  options: StsOptions,
  signal: AbortSignal,
): Promise<StsAnswer> {
  const url = endpointUrl(endpoint);
  const agent = await agentFor(options);
  const deadline = AbortSignal.timeout(wholeMs);
  try {
    return await abortable(send(url, form, agent, deadline), signal);
  } catch (error) {
    signal.throwIfAborted();
    const reason = deadline.aborted ? `no whole answer within ${wholeMs / 1000} s` : reasonOf(error);
    throw new CopyError("identity", `no answer from STS at ${url.host}: ${reason}${hint(url)}`, { cause: error });
  } finally {
    await agent.destroy();
  }
}

async function send(
  url: URL,
  form: Readonly<Record<string, string>>,
  dispatcher: Dispatcher,
  signal: AbortSignal,
): Promise<StsAnswer> {
  const { request } = await import("undici");
  const { statusCode, headers, body } = await request(url, {
    dispatcher,
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(form).toString(),
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
    signal,
  });
  const date = Array.isArray(headers.date) ? headers.date[0] : headers.date;
  return { status: statusCode, dateMs: httpDateMs(date), body: parsed(await body.text()) };
}

async function agentFor({ ca, httpsProxy, noProxy }: StsOptions): Promise<Dispatcher> {
  // Loaded by those who assume a role only.
  const { Agent, EnvHttpProxyAgent } = await import("undici");
  const { trustedCertificates } = await import("./http/trust.ts");
  // Given, or NODE_TLS_REJECT_UNAUTHORIZED could take the verification away.
  const tls = { rejectUnauthorized: true, ...(ca === undefined ? {} : { ca: trustedCertificates(ca) }) };
  const common = { allowH2: false, connect: { ...tls, timeout: connectMs }, maxResponseSize: maxAnswerBytes };
  if (!httpsProxy) return new Agent(common);
  return new EnvHttpProxyAgent({
    ...common,
    // Empty texts, not undefined: undici would look into the environment.
    httpProxy: "",
    httpsProxy,
    noProxy: noProxy ?? "",
    connectTimeout: connectMs,
    requestTls: tls,
  });
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

/** The public host is out of reach of most networks without a way to the internet. */
function hint({ hostname }: URL): string {
  if (!/^sts\.(?:[a-z0-9-]+\.)?aliyuncs\.com$/.test(hostname)) return "";
  return " (a VPC without internet access needs --sts-endpoint sts-vpc.REGION.aliyuncs.com)";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const [Code, Message, RequestId] = ["Code", "Message", "RequestId"].map((name) => elementText(text, name));
    return Code === undefined ? undefined : { Code, Message, RequestId };
  }
}
