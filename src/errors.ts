/**
 * What went wrong, decided once at the boundary that saw it. Nothing above re-inspects a status, an errno or a message.
 *
 * Source: `unreachable` no connection · `interrupted` a connection or body that ended or stalled · `protocol` an answer
 * that breaks HTTP or ignores what was asked · `server` 5xx and 408 · `throttled` 429 and 503 · `outage` one of these for
 * so long that the run gives up · `expired` token or clock refused · `auth` refused for good · `credentials` none to be
 * had · `identity` none to be had now, perhaps later · `source` bucket or path missing or unusable · `missing` the object
 * is gone · `rejected` the service will not serve this object · `changed` another version than listed · `corrupt` bytes
 * that do not match their checksum · `different` what `verify` found not to be equal.
 *
 * Target: `unsupported` a key that cannot be a file · `occupied` something foreign stands at the path · `volume-full` ·
 * `volume` any other refusal of the target · `busy` another process of ours works on it.
 */
export const errorKinds = [
  "unreachable",
  "interrupted",
  "protocol",
  "server",
  "throttled",
  "outage",
  "expired",
  "auth",
  "credentials",
  "identity",
  "source",
  "missing",
  "rejected",
  "changed",
  "corrupt",
  "different",
  "unsupported",
  "occupied",
  "volume-full",
  "volume",
  "busy",
] as const;

export type ErrorKind = (typeof errorKinds)[number];

export interface CopyErrorDetails {
  readonly cause?: unknown;
  /** Minimum wait the server asked for, milliseconds. */
  readonly retryAfterMs?: number;
  /** `x-oss-request-id` of the answer that failed. */
  readonly requestId?: string;
  /** The server's clock when it refused ours, milliseconds since the epoch. */
  readonly serverTimeMs?: number;
  /** Body bytes that had arrived when the attempt failed; they count against the limit all the same. */
  readonly receivedBytes?: number;
}

/** A failure whose kind was decided at the I/O boundary; `message` says what, which thing and which number. */
export class CopyError extends Error {
  override readonly name = "CopyError";
  readonly kind: ErrorKind;
  readonly retryAfterMs: number | undefined;
  readonly requestId: string | undefined;
  readonly serverTimeMs: number | undefined;
  readonly receivedBytes: number;

  constructor(kind: ErrorKind, message: string, details: CopyErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.retryAfterMs = details.retryAfterMs;
    this.requestId = details.requestId;
    this.serverTimeMs = details.serverTimeMs;
    this.receivedBytes = details.receivedBytes ?? 0;
  }
}

/** Options, variables or spec that cannot be used; `problems` holds one sentence for each, with the name of the culprit. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** A signal asked the run to stop. */
export class Interruption extends Error {
  override readonly name = "Interruption";
  readonly signal: "SIGINT" | "SIGTERM";

  constructor(signal: "SIGINT" | "SIGTERM") {
    super(`stopped by ${signal}`);
    this.signal = signal;
  }
}
