import type { CredentialsConfig } from "./config.ts";
import type { Kind } from "./kinds.ts";
import type { OptionName } from "./options.ts";
import { parseText, type Settings } from "./settings.ts";
import { oidcProviderArn, roleArn, stsHost } from "./source-kinds.ts";
import type { Spec } from "./spec.ts";
import type { Environment, Text } from "./texts.ts";

// Where the pod identity webhook mounts it: https://www.alibabacloud.com/help/en/cs/user-guide/ack-pod-identity-webhook
const defaultTokenFile = "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens/token";

const roleOptions = ["role-arn", "oidc-provider-arn", "oidc-token-file"] as const satisfies readonly OptionName[];

interface Sources {
  readonly settings: Settings;
  readonly spec: Spec | undefined;
  readonly env: Environment;
  readonly problems: string[];
}

/** Who to be. What a role lacks comes from the options, then the spec, then the `ALIBABA_CLOUD_*` variables. */
export function credentialsConfig(sources: Sources): CredentialsConfig {
  const { settings, spec, env, problems } = sources;
  const anonymous = settings.get("anonymous");
  const given = roleOptions.filter((name) => settings.from(name) !== undefined || settings.broken(name));
  if (anonymous) {
    for (const name of given) {
      problems.push(
        `${settings.label("anonymous")} and ${settings.label(name)} contradict each other; give one of them`,
      );
    }
  }
  const stsEndpoint =
    settings.get("sts-endpoint") ?? fromVariable(env, "ALIBABA_CLOUD_STS_ENDPOINT", stsHost, problems);
  const named = given.length > 0 || spec?.roleArn !== undefined || spec?.oidcProviderArn !== undefined;
  if (anonymous || !named) return { anonymous, role: undefined, stsEndpoint };
  const role = completeRole(sources, given.length > 0 ? "options" : "spec");
  return { anonymous, role: role === undefined ? undefined : { ...role, stsEndpoint }, stsEndpoint };
}

function completeRole(sources: Sources, from: "options" | "spec") {
  const { settings, spec, env } = sources;
  const role = completeArn(sources, {
    option: "role-arn",
    kind: roleArn,
    fromSpec: spec?.roleArn,
    field: "spec.generic.rrsaConfigs.roleArn",
    variable: "ALIBABA_CLOUD_ROLE_ARN",
  });
  const provider = completeArn(sources, {
    option: "oidc-provider-arn",
    kind: oidcProviderArn,
    fromSpec: spec?.oidcProviderArn,
    field: "spec.generic.rrsaConfigs.oidcProviderArn",
    variable: "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
  });
  if (role === undefined || provider === undefined) return undefined;
  const oidcTokenFile = settings.get("oidc-token-file") ?? (env.ALIBABA_CLOUD_OIDC_TOKEN_FILE || defaultTokenFile);
  return { roleArn: role, oidcProviderArn: provider, oidcTokenFile, from };
}

interface Arn {
  readonly option: "role-arn" | "oidc-provider-arn";
  readonly kind: Kind<string>;
  readonly fromSpec: Text | undefined;
  readonly field: string;
  readonly variable: string;
}

function completeArn({ settings, env, problems }: Sources, arn: Arn): string | undefined {
  if (settings.broken(arn.option)) return undefined;
  const given = settings.get(arn.option);
  if (given !== undefined) return given;
  if (arn.fromSpec !== undefined) return parseText(arn.fromSpec, arn.kind, problems);
  if (env[arn.variable]) return fromVariable(env, arn.variable, arn.kind, problems);
  problems.push(`the role is incomplete: give --${arn.option}, ${arn.field} or ${arn.variable}`);
  return undefined;
}

function fromVariable(env: Environment, variable: string, kind: Kind<string>, problems: string[]): string | undefined {
  const text = env[variable];
  return text ? parseText({ text, label: variable, from: "variable" }, kind, problems) : undefined;
}
