/**
 * A RAM role assumed with the OIDC token of a service account (RRSA).
 *
 * `@alicloud/credentials` can do this too, but sends the token file's trailing newline, hides when a session ends, returns
 * an old session after it has ended, asks once for every concurrent caller, never retries, and reports a refusal only as
 * text with the whole answer in it. One unsigned POST is less than working around all of that.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { CopyError, type ErrorKind } from "../errors.ts";
import type { CredentialSource, Issued } from "./credentials.ts";
import { callSts, type StsAnswer, type StsOptions } from "./credentials-sts.ts";
import { readToken } from "./credentials-token.ts";
import { printable } from "./printable.ts";

export type { StsOptions } from "./credentials-sts.ts";

export interface RoleOptions {
  readonly roleArn: string;
  readonly oidcProviderArn: string;
  readonly tokenFile: string;
  /** Host, with a port if need be; a leading `https://` is accepted. */
  readonly stsEndpoint: string;
  readonly sessionName: string;
}

/** Lifetime asked for: the longest that every role allows. */
const durationSeconds = 3600;
/** No session is shorter than this: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc */
const leastBelievedMs = 900_000;
/** Whoever replaces the token is given this long to do so after the old one was refused. */
const replacementMs = 500;

/** Advice for the refusals that people meet; codes: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc */
const advice: Readonly<Record<string, string>> = {
  "AuthenticationFail.NoPermission": "the role's trust policy does not let this service account assume it",
  "EntityNotExist.Role": "there is no such role",
  "EntityNotExist.RoleArn": "there is no such role",
  "AuthenticationFail.OIDCToken.Expired": "the service account's token has expired",
  "AuthenticationFail.OIDCToken.Invalid": "the service account's token is not accepted",
};

export class RoleSource implements CredentialSource {
  readonly name: string;
  readonly #options: RoleOptions;
  readonly #sts: StsOptions;
  /** The clock of STS minus ours, once it has refused ours. */
  #clockOffsetMs = 0;

  constructor(options: RoleOptions, sts: StsOptions) {
    this.name = `role ${printable(options.roleArn)}`;
    this.#options = options;
    this.#sts = sts;
  }

  async issue(signal: AbortSignal): Promise<Issued> {
    // Read anew each time: the kubelet replaces the token before it ends.
    const token = await this.#token(signal);
    let answer = await this.#ask(token, signal);
    if (this.#correctsClock(answer)) answer = await this.#ask(token, signal);
    if (isTokenRefusal(answer)) answer = await this.#askWithNewToken(token, answer, signal);
    if (answer.status !== 200) throw this.#refusal(answer, token);
    const issued = parseSession(answer);
    if (issued !== undefined) return issued;
    throw this.#failure("identity", "the answer of STS holds no usable session");
  }

  async #token(signal: AbortSignal): Promise<string> {
    const token = await readToken(this.#options.tokenFile, signal);
    this.#sts.onSecret?.(token);
    return token;
  }

  async #ask(token: string, signal: AbortSignal): Promise<StsAnswer> {
    try {
      return await callSts(this.#options.stsEndpoint, this.#form(token), this.#sts, signal);
    } catch (error) {
      if (!(error instanceof CopyError) || signal.aborted) throw error;
      throw this.#failure(error.kind, error.message, error.cause);
    }
  }

  /** A token that was replaced while the question was under way is no reason to give up. */
  async #askWithNewToken(refused: string, refusal: StsAnswer, signal: AbortSignal): Promise<StsAnswer> {
    await sleep(replacementMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    const token = await this.#token(signal);
    return token === refused ? refusal : await this.#ask(token, signal);
  }

  #correctsClock({ body, dateMs }: StsAnswer): boolean {
    const code = textOf(body, "Code") ?? "";
    if (dateMs === undefined || !/^(?:InvalidTimeStamp|IllegalTimestamp)\b/.test(code)) return false;
    this.#clockOffsetMs = dateMs - Date.now();
    return true;
  }

  #form(token: string): Readonly<Record<string, string>> {
    return {
      Action: "AssumeRoleWithOIDC",
      Version: "2015-04-01",
      Format: "JSON",
      Timestamp: new Date(Date.now() + this.#clockOffsetMs).toISOString().replace(/\.\d+Z$/, "Z"),
      OIDCProviderArn: this.#options.oidcProviderArn,
      OIDCToken: token,
      RoleArn: this.#options.roleArn,
      RoleSessionName: this.#options.sessionName,
      DurationSeconds: String(durationSeconds),
    };
  }

  #refusal({ status, body }: StsAnswer, token: string): CopyError {
    const code = textOf(body, "Code") ?? "no code";
    const request = textOf(body, "RequestId");
    const said = textOf(body, "Message")?.replaceAll(token, "***").replaceAll(encodeURIComponent(token), "***");
    const why = [advice[code], said === undefined ? undefined : printable(said)].filter((part) => part !== undefined);
    const passes = status < 400 || status >= 500 || status === 429 || status === 408 || code.startsWith("Throttling");
    const details = [
      `status ${status}`,
      printable(code),
      ...(request === undefined ? [] : [`request ${printable(request)}`]),
    ];
    const reason = why.length === 0 ? "STS refused" : why.join(": ");
    return this.#failure(passes ? "identity" : "credentials", `${reason} (${details.join(", ")})`);
  }

  #failure(kind: ErrorKind, reason: string, cause?: unknown): CopyError {
    return new CopyError(kind, `cannot assume ${this.name}: ${reason}`, { cause });
  }
}

function isTokenRefusal({ status, body }: StsAnswer): boolean {
  return status !== 200 && (textOf(body, "Code") ?? "").startsWith("AuthenticationFail.OIDCToken.");
}

/** What goes into a header and nothing else: whatever the service sends must not be able to add one. */
const headerValue = /^[\x21-\x7e]{1,8192}$/;

function parseSession({ body, dateMs }: StsAnswer): Issued | undefined {
  const session = fieldOf(body, "Credentials");
  const part = (name: string): string => {
    const text = textOf(session, name) ?? "";
    return headerValue.test(text) ? text : "";
  };
  const [accessKeyId, accessKeySecret, securityToken] = [
    part("AccessKeyId"),
    part("AccessKeySecret"),
    part("SecurityToken"),
  ];
  if (accessKeyId === "" || accessKeySecret === "" || securityToken === "") return undefined;
  const expiresAtMs = Date.parse(textOf(session, "Expiration") ?? "");
  return {
    credentials: { accessKeyId, accessKeySecret, securityToken },
    // Half of the time left, so that the other half is there for outages of STS.
    freshForMs: lifetimeMs(expiresAtMs, dateMs) / 2,
  };
}

/** By the service's own clock where it tells it; if ours is all there is, it may be wrong. */
function lifetimeMs(expiresAtMs: number, dateMs: number | undefined): number {
  const leftMs = expiresAtMs - (dateMs ?? Date.now());
  if (Number.isNaN(leftMs)) return durationSeconds * 1000;
  return dateMs === undefined ? Math.max(leftMs, leastBelievedMs) : Math.max(leftMs, 0);
}

function fieldOf(value: unknown, name: string): unknown {
  // A JSON value that is an object may have any field; what it holds is checked by the caller.
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function textOf(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name);
  return typeof field === "string" ? field : undefined;
}
