/**
 * The sources that need no naming: CLI profile, credentials file, instance role, credentials URI, in the order of
 * `@alicloud/credentials`.
 *
 * Its providers do the work, but not its default chain: that one fails for concurrent callers, stays for ever on the last
 * provider after one failed pass, and without any credentials asks the host `undefined`. A provider is made anew for each
 * question, because one that has answered before returns its old session when it cannot get a new one, even after its end.
 */
import { access } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { CopyError } from "../errors.ts";
import type { CredentialSource, Environment, Issued } from "./credentials.ts";
import { abortable } from "./http/aborts.ts";
import { codeOf } from "./http/failures.ts";
import type { Credentials } from "./signing.ts";

type Library = Omit<typeof import("@alicloud/credentials"), "default">;

interface Link {
  readonly name: string;
  /** Whether somebody asked for it, so that its failure is worth telling. */
  configured(env: Environment): boolean | Promise<boolean>;
  enabled(env: Environment): boolean;
  provider(library: Library, env: Environment): { getCredentials(): Promise<Credentials> };
}

/** The library does not tell when a session ends; its own rule is to renew 15 minutes before. */
const freshForMs = 60_000;

const links: readonly Link[] = [
  {
    name: "CLI profile",
    configured: () => exists(join(homedir(), ".aliyun/config.json")),
    enabled: (env) => !isTrue(env.ALIBABA_CLOUD_CLI_PROFILE_DISABLED),
    provider: (library, env) => {
      const builder = library.CLIProfileCredentialsProvider.builder();
      return (env.ALIBABA_CLOUD_PROFILE ? builder.withProfileName(env.ALIBABA_CLOUD_PROFILE) : builder).build();
    },
  },
  {
    name: "credentials file",
    // The provider itself looks for the variable in the process's environment.
    configured: (env) => exists(env.ALIBABA_CLOUD_CREDENTIALS_FILE || join(homedir(), ".alibabacloud/credentials")),
    enabled: () => true,
    provider: (library, env) =>
      library.ProfileCredentialsProvider.builder()
        .withProfileName(env.ALIBABA_CLOUD_PROFILE || "default")
        .build(),
  },
  {
    name: "instance role",
    configured: (env) => Boolean(env.ALIBABA_CLOUD_ECS_METADATA),
    enabled: (env) => !isTrue(env.ALIBABA_CLOUD_ECS_METADATA_DISABLED),
    provider: (library, env) => {
      const builder = library.ECSRAMRoleCredentialsProvider.builder().withDisableIMDSv1(
        isTrue(env.ALIBABA_CLOUD_IMDSV1_DISABLED),
      );
      return (env.ALIBABA_CLOUD_ECS_METADATA ? builder.withRoleName(env.ALIBABA_CLOUD_ECS_METADATA) : builder).build();
    },
  },
  {
    name: "credentials URI",
    configured: () => true,
    enabled: (env) => Boolean(env.ALIBABA_CLOUD_CREDENTIALS_URI),
    provider: (library, env) =>
      library.URICredentialsProvider.builder()
        .withCredentialsURI(env.ALIBABA_CLOUD_CREDENTIALS_URI ?? "")
        .build(),
  },
];

export class ChainSource implements CredentialSource {
  readonly #env: Environment;
  /** The link that answered first; a failure of it never makes way for another identity. */
  #chosen: Link | undefined;

  constructor(env: Environment) {
    this.#env = env;
  }

  get name(): string {
    return this.#chosen?.name ?? "default credential chain";
  }

  async issue(signal: AbortSignal): Promise<Issued> {
    // Heavy, and of no use to runs with a role, keys or anonymous access.
    const library = await import("@alicloud/credentials");
    const failures: string[] = [];
    for (const link of this.#chosen === undefined ? links : [this.#chosen]) {
      signal.throwIfAborted();
      if (!link.enabled(this.#env)) continue;
      const answer = await abortable(ask(link, library, this.#env), signal);
      if (typeof answer !== "string") {
        this.#chosen = link;
        return { credentials: answer, freshForMs };
      }
      if (this.#chosen !== undefined || (await link.configured(this.#env))) failures.push(`${link.name} (${answer})`);
    }
    throw this.#failure(failures);
  }

  #failure(failures: readonly string[]): CopyError {
    // Without the library's errors as cause: they quote answers and files with the secrets in them.
    if (this.#chosen !== undefined) return new CopyError("identity", `no new credentials from ${failures.join(", ")}`);
    const tried = failures.length > 0 ? ` Not usable: ${failures.join(", ")}.` : "";
    return new CopyError("credentials", `no credentials.${tried}${this.#half()} ${ways}`);
  }

  #half(): string {
    const id = Boolean(this.#env.ALIBABA_CLOUD_ACCESS_KEY_ID);
    const secret = Boolean(this.#env.ALIBABA_CLOUD_ACCESS_KEY_SECRET);
    if (id === secret) return "";
    return id
      ? " ALIBABA_CLOUD_ACCESS_KEY_ID is set without ALIBABA_CLOUD_ACCESS_KEY_SECRET."
      : " ALIBABA_CLOUD_ACCESS_KEY_SECRET is set without ALIBABA_CLOUD_ACCESS_KEY_ID.";
  }
}

const ways =
  "Give a role (--role-arn with --oidc-provider-arn, the spec's rrsaConfigs, or RRSA for the pod's service account), " +
  "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, an instance role, ALIBABA_CLOUD_CREDENTIALS_URI, " +
  "or --anonymous for a public bucket.";

/** Credentials, or the reason in words that hold no secret. */
async function ask(link: Link, library: Library, env: Environment): Promise<Credentials | string> {
  try {
    const { accessKeyId, accessKeySecret, securityToken } = await link.provider(library, env).getCredentials();
    if (!accessKeyId || !accessKeySecret) return "incomplete";
    return { accessKeyId, accessKeySecret, securityToken: securityToken || undefined };
  } catch (error) {
    return codeOf(error) ?? statusOf(error) ?? "no usable answer";
  }
}

/** The library tells the status only in its message. */
function statusOf(error: unknown): string | undefined {
  const status = error instanceof Error ? /httpStatus: (\d{3})\b/.exec(error.message)?.[1] : undefined;
  return status === undefined ? undefined : `status ${status}`;
}

function isTrue(value: string | undefined): boolean {
  return value?.toLowerCase() === "true";
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
