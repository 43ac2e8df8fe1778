/** Whose credentials a run uses: the first source that is given, and from then on only that one. */
import { CopyError } from "../errors.ts";
import { ChainSource } from "./credentials-chain.ts";
import { type RoleOptions, RoleSource, type StsOptions } from "./credentials-role.ts";
import type { Credentials } from "./signing.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** The identity that options and spec ask for; has the shape of the configuration's. */
export interface CredentialsChoice {
  readonly anonymous: boolean;
  readonly role?: RoleChoice | undefined;
  readonly stsEndpoint?: string | undefined;
}

export interface RoleChoice {
  readonly roleArn: string;
  readonly oidcProviderArn: string;
  readonly oidcTokenFile?: string | undefined;
  readonly stsEndpoint?: string | undefined;
  /** A role of the options goes before keys in the environment, one of the spec after them. */
  readonly from: "options" | "spec";
}

/** Credentials and how long they may be used without asking again. */
export interface Issued {
  /** undefined is anonymous. */
  readonly credentials: Credentials | undefined;
  /** Milliseconds until it is worth asking again; undefined: asking again gives the same. */
  readonly freshForMs: number | undefined;
}

export interface CredentialSource {
  /** For messages: where the credentials come from. */
  readonly name: string;
  /**
   * Asks the source anew. Rejects with CopyError `credentials`, or `identity` where asking later may help,
   * or with the signal's reason. No message holds a secret.
   */
  issue(signal: AbortSignal): Promise<Issued>;
}

/** Where ACK mounts the token of a service account that may assume roles. */
const defaultTokenFile = "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token";

/** The source that the choice and the environment ask for; throws CopyError `credentials` for a role that is named by halves. */
export function credentialSource(choice: CredentialsChoice, env: Environment, sts: StsOptions = {}): CredentialSource {
  if (choice.anonymous) return fixedSource("anonymous access", undefined);
  const named = (role: RoleChoice) => new RoleSource(roleOptions(role, choice, env), sts);
  if (choice.role?.from === "options") return named(choice.role);
  const keys = environmentKeys(env);
  if (keys !== undefined) return fixedSource("keys in the environment", keys);
  if (choice.role !== undefined) return named(choice.role);
  const role = environmentRole(env);
  return role === undefined ? new ChainSource(env) : named(role);
}

/** Throws CopyError `credentials` for what no request can carry, which is somebody's slip and no bug of ours. */
export function expectSendable(credentials: Credentials | undefined, from: string): void {
  if (credentials === undefined) return;
  const { accessKeyId, accessKeySecret, securityToken = "" } = credentials;
  for (const [what, text] of [
    ["access key ID", accessKeyId],
    ["access key secret", accessKeySecret],
    ["security token", securityToken],
  ] as const) {
    if (!/[^\x21-\x7e]/.test(text)) continue;
    const advice = "a Secret that was made with echo ends with a line break (echo -n does without)";
    throw new CopyError(
      "credentials",
      `the ${what} (${from}) has a character that none has, or a line break: ${advice}`,
    );
  }
}

function fixedSource(name: string, credentials: Credentials | undefined): CredentialSource {
  return { name, issue: () => Promise.resolve({ credentials, freshForMs: undefined }) };
}

function environmentKeys(env: Environment): Credentials | undefined {
  const accessKeyId = env.ALIBABA_CLOUD_ACCESS_KEY_ID;
  const accessKeySecret = env.ALIBABA_CLOUD_ACCESS_KEY_SECRET;
  if (!accessKeyId || !accessKeySecret) return undefined;
  return { accessKeyId, accessKeySecret, securityToken: env.ALIBABA_CLOUD_SECURITY_TOKEN || undefined };
}

/** The role that ACK injects. It is named, so whatever else the environment offers is not tried in its place. */
function environmentRole(env: Environment): RoleChoice | undefined {
  const roleArn = env.ALIBABA_CLOUD_ROLE_ARN;
  const oidcProviderArn = env.ALIBABA_CLOUD_OIDC_PROVIDER_ARN;
  if (!roleArn) return undefined;
  if (oidcProviderArn) return { roleArn, oidcProviderArn, from: "spec" };
  throw new CopyError(
    "credentials",
    "ALIBABA_CLOUD_ROLE_ARN names a role, but ALIBABA_CLOUD_OIDC_PROVIDER_ARN, needed to assume it, is not set",
  );
}

function roleOptions(role: RoleChoice, choice: CredentialsChoice, env: Environment): RoleOptions {
  return {
    roleArn: role.roleArn,
    oidcProviderArn: role.oidcProviderArn,
    tokenFile: role.oidcTokenFile || env.ALIBABA_CLOUD_OIDC_TOKEN_FILE || defaultTokenFile,
    stsEndpoint: role.stsEndpoint || choice.stsEndpoint || environmentEndpoint(env),
    sessionName: env.ALIBABA_CLOUD_ROLE_SESSION_NAME || env.ROLE_SESSION_NAME || "oss-populator",
  };
}

/** Endpoint names: https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-endpoint */
function environmentEndpoint(env: Environment): string {
  const region = env.ALIBABA_CLOUD_STS_REGION;
  if (env.ALIBABA_CLOUD_STS_ENDPOINT) return env.ALIBABA_CLOUD_STS_ENDPOINT;
  if (!region) return "sts.aliyuncs.com";
  const vpc = env.ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED?.toLowerCase() === "true";
  return `${vpc ? "sts-vpc" : "sts"}.${region}.aliyuncs.com`;
}
