/** Words and kinds for what can go wrong between us and a server, decided here for both transports. */
import { CopyError } from "../../errors.ts";
import { address, type Origin } from "./transport-options.ts";

const causes: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ECONNABORTED: "connection aborted",
  EPIPE: "connection closed",
  ETIMEDOUT: "timed out",
  EHOSTUNREACH: "no route to host",
  EHOSTDOWN: "host is down",
  ENETUNREACH: "network unreachable",
  ENETDOWN: "network is down",
  EADDRNOTAVAIL: "no local address or port left",
  EMFILE: "too many open files: raise their limit, or lower --concurrency",
  ENFILE: "too many open files",
  UND_ERR_CONNECT_TIMEOUT: "timed out",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS (an endpoint without TLS begins with http://)",
};

const certificateCauses: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: "self-signed certificate",
  SELF_SIGNED_CERT_IN_CHAIN: "self-signed certificate in the chain",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "certificate of an unknown authority",
  UNABLE_TO_GET_ISSUER_CERT: "certificate of an unknown authority",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "certificate of an unknown authority",
  CERT_HAS_EXPIRED: "certificate has expired",
  CERT_NOT_YET_VALID: "certificate is not yet valid",
  ERR_TLS_CERT_ALTNAME_INVALID: "certificate is for another name",
};

const unresolvable: ReadonlySet<string> = new Set(["ENOTFOUND", "EAI_AGAIN", "EAI_FAIL", "EAI_NODATA", "EAI_NONAME"]);

/** `code` of a Node or undici error, of the first of several attempts where it is an aggregate. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  return error instanceof AggregateError ? codeOf(error.errors[0]) : undefined;
}

/** CopyError `unreachable`: there was no connection to send a request on. */
export function unreachable(origin: Origin, cause: unknown): CopyError {
  const code = codeOf(cause);
  if (code !== undefined && unresolvable.has(code)) {
    const hint = code === "EAI_AGAIN" ? ": the name server does not answer" : "";
    const host = cause instanceof Error && "hostname" in cause ? String(cause.hostname) : origin.host;
    return new CopyError("unreachable", `cannot resolve ${host}${hint}`, { cause });
  }
  const where = proxyIn(cause, origin);
  return new CopyError("unreachable", `cannot connect to ${address(origin)}: ${where}${reasonOf(cause)}`, { cause });
}

/** Who was connected to instead of the origin; without it, people look for the fault at the service. */
function proxyIn(cause: unknown, origin: Origin): string {
  if (!(cause instanceof Error) || !("port" in cause) || !("address" in cause)) return "";
  if (typeof cause.port !== "number" || cause.port === origin.port) return "";
  return `the proxy ${address({ ...origin, host: String(cause.address), port: cause.port })}: `;
}

/** CopyError `interrupted`: the connection broke after the request was sent. */
export function interrupted(origin: Origin, reason: string, cause?: unknown): CopyError {
  return new CopyError("interrupted", `${address(origin)}: ${reason}`, { cause });
}

/** CopyError `protocol`: the server does not speak HTTP as we know it. */
export function malformed(origin: Origin, reason: string, cause?: unknown): CopyError {
  return new CopyError("protocol", `malformed response of ${address(origin)}: ${reason}`, { cause });
}

/** The cause of a failure in plain words. */
export function reasonOf(cause: unknown): string {
  const code = codeOf(cause);
  const known = code === undefined ? undefined : causes[code];
  if (known !== undefined) return known;
  const certificate = code === undefined ? undefined : certificateCauses[code];
  const message = cause instanceof Error ? cause.message : String(cause);
  if (certificate !== undefined)
    return `TLS: ${certificate}${code === "ERR_TLS_CERT_ALTNAME_INVALID" ? ` (${message})` : ""}`;
  if (code?.startsWith("ERR_SSL_") || code?.startsWith("ERR_TLS_")) return `TLS: ${opensslReason(cause) ?? message}`;
  return message === "" ? (code ?? "unknown cause") : message;
}

/** OpenSSL's messages are lines with the number of a thread and a place in its source; the reason is told beside. */
function opensslReason(cause: unknown): string | undefined {
  const isTold = cause instanceof Error && "reason" in cause && typeof cause.reason === "string";
  return isTold ? String(cause.reason) : undefined;
}

/** The same failure with where it happened and the body bytes that had arrived, which count against the limit all the same. */
export function withReceived(error: CopyError, receivedBytes: number): CopyError {
  if (receivedBytes === 0) return error;
  return new CopyError(error.kind, `${error.message}, after ${receivedBytes} bytes of the body`, {
    cause: error.cause ?? error,
    receivedBytes,
  });
}
