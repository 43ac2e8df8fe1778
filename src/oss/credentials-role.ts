/**
 * A RAM role assumed with the OIDC token of a service account (RRSA).
 *
 * `@alicloud/credentials` can do this too, but sends the token file's trailing newline, hides when a session ends, returns
 * an old session after it has ended, asks once for every concurrent caller, never retries, and reports a refusal only as
 * text with the whole answer in it. One unsigned POST is less than working around all of that.
 */
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { CopyError } from "../errors.ts";
import type { CredentialSource, Issued } from "./credentials.ts";
import { callSts, type StsAnswer, type StsOptions } from "./credentials-sts.ts";
import { codeOf } from "./http/failures.ts";
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
const attempts = 4;
const defaultRetryBaseMs = 500;

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

  constructor(options: RoleOptions, sts: StsOptions) {
    this.name = `role ${printable(options.roleArn)}`;
    this.#options = options;
    this.#sts = sts;
  }

  async issue(signal: AbortSignal): Promise<Issued> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#assume(signal);
      } catch (error) {
        if (!isTransient(error) || attempt === attempts) throw error;
        const delayMs = (this.#sts.retryBaseMs ?? defaultRetryBaseMs) * 2 ** (attempt - 1) * (0.5 + Math.random());
        await sleep(delayMs, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  }

  async #assume(signal: AbortSignal): Promise<Issued> {
    // Read anew each time: the kubelet replaces the token before it ends.
    const token = await readToken(this.#options.tokenFile);
    const answer = await callSts(this.#options.stsEndpoint, this.#form(token), this.#sts, signal);
    if (answer.status !== 200) throw this.#refusal(answer, token);
    const issued = parseSession(answer.body);
    if (issued !== undefined) return issued;
    throw this.#failure("server", "the answer of STS holds no usable session");
  }

  #form(token: string): Readonly<Record<string, string>> {
    return {
      Action: "AssumeRoleWithOIDC",
      Version: "2015-04-01",
      Format: "JSON",
      Timestamp: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
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
    const said = textOf(body, "Message")?.replaceAll(token, "***");
    const why = advice[code] ?? (said === undefined ? undefined : printable(said));
    const passes = status >= 500 || status === 429 || code.startsWith("Throttling");
    const details = [
      `status ${status}`,
      printable(code),
      ...(request === undefined ? [] : [`request ${printable(request)}`]),
    ];
    return this.#failure(passes ? "server" : "credentials", `${why ?? "refused"} (${details.join(", ")})`);
  }

  #failure(kind: "server" | "credentials", reason: string): CopyError {
    return new CopyError(kind, `cannot assume ${this.name}: ${reason}`);
  }
}

function isTransient(error: unknown): boolean {
  return error instanceof CopyError && (error.kind === "unreachable" || error.kind === "server");
}

async function readToken(path: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new CopyError("credentials", tokenFileSentence(path, codeOf(error)), { cause: error });
  }
  const token = text.trim();
  if (token === "") throw new CopyError("credentials", `the OIDC token file ${path} is empty`);
  return token;
}

function tokenFileSentence(path: string, code: string | undefined): string {
  if (code === "EACCES" || code === "EPERM") {
    const user = process.getuid?.() ?? "unknown";
    return (
      `the OIDC token file ${path} may not be read by user ${user}: ` +
      "set runAsUser or fsGroup in the pod's securityContext, or a wider defaultMode on the token's volume"
    );
  }
  if (code === "ENOENT" || code === "ENOTDIR") {
    return (
      `the OIDC token file ${path} does not exist: ` +
      "is RRSA enabled for this pod's namespace and service account, or should --oidc-token-file name another?"
    );
  }
  return `the OIDC token file ${path} cannot be read (${code ?? "unknown error"})`;
}

function parseSession(body: unknown): Issued | undefined {
  const session = fieldOf(body, "Credentials");
  const accessKeyId = textOf(session, "AccessKeyId");
  const accessKeySecret = textOf(session, "AccessKeySecret");
  const securityToken = textOf(session, "SecurityToken");
  if (!accessKeyId || !accessKeySecret || !securityToken) return undefined;
  const leftMs = Date.parse(textOf(session, "Expiration") ?? "") - Date.now();
  // Half of the time left, so that the other half is there for outages of STS; our clock may be wrong, so never nothing.
  const freshForMs = Number.isNaN(leftMs) ? (durationSeconds * 1000) / 2 : Math.max(leftMs / 2, 0);
  return { credentials: { accessKeyId, accessKeySecret, securityToken }, freshForMs };
}

function fieldOf(value: unknown, name: string): unknown {
  // A JSON value that is an object may have any field; what it holds is checked by the caller.
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function textOf(value: unknown, name: string): string | undefined {
  const field = fieldOf(value, name);
  return typeof field === "string" ? field : undefined;
}
